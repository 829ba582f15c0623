using System.Globalization;
using System.Text;

namespace GpuExternalScaler.Tests.Observability;

/// <summary>One parsed sample; labels in the order they were written.</summary>
internal sealed record ParsedSample(string Name, IReadOnlyList<(string Name, string Value)> Labels, double Value)
{
    public string? Label(string name) => Labels.Where(label => label.Name == name).Select(label => label.Value).SingleOrDefault();
}

/// <summary>One parsed family.</summary>
internal sealed record ParsedFamily(string Name)
{
    public string? Help { get; set; }

    public string? Type { get; set; }

    public string? Unit { get; set; }

    public List<ParsedSample> Samples { get; } = [];
}

/// <summary>
/// A strict reader of both formats, written from the format's description and independently of the writer: it refuses
/// repeated declarations, samples outside their family, repeated series and repeated labels.
/// </summary>
internal sealed class ExpositionParser
{
    private readonly string _text;
    private readonly bool _open;
    private readonly Dictionary<string, ParsedFamily> _families = new(StringComparer.Ordinal);
    private readonly HashSet<string> _series = new(StringComparer.Ordinal);
    private ParsedFamily? _current;
    private int _at;

    private ExpositionParser(string text, bool open) => (_text, _open) = (text, open);

    public static IReadOnlyDictionary<string, ParsedFamily> Parse(ReadOnlySpan<byte> page, bool openMetrics = false) =>
        Parse(new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(page), openMetrics);

    public static IReadOnlyDictionary<string, ParsedFamily> Parse(string page, bool openMetrics = false) =>
        new ExpositionParser(page, openMetrics).Page();

    private Dictionary<string, ParsedFamily> Page()
    {
        var ended = false;
        while (_at < _text.Length)
        {
            if (ended)
            {
                throw Wrong("something follows # EOF");
            }

            if (_text[_at] != '#')
            {
                Sample();
            }
            else if (_open && _text.AsSpan(_at).SequenceEqual("# EOF\n"))
            {
                ended = true;
                _at = _text.Length;
            }
            else
            {
                Declaration();
            }
        }

        return _open && !ended ? throw Wrong("# EOF is missing") : _families;
    }

    private void Declaration()
    {
        var keyword = TakeAny("# HELP ", "# TYPE ", _open ? "# UNIT " : "# HELP ");
        var name = Name();
        Take(" ");
        if (_current?.Name != name)
        {
            _current = new ParsedFamily(name);
            if (!_families.TryAdd(name, _current))
            {
                throw Wrong($"{name} is declared in two places");
            }
        }

        if (_current.Samples.Count > 0)
        {
            throw Wrong($"{name} is declared after its samples");
        }

        switch (keyword)
        {
            case "# HELP ":
                _current.Help = _current.Help is null ? Escaped('\n', quotes: _open) : throw Wrong("second HELP");
                break;
            case "# TYPE ":
                _current.Type = _current.Type is null ? Escaped('\n', quotes: false) : throw Wrong("second TYPE");
                break;
            default:
                _current.Unit = _current.Unit is null ? Escaped('\n', quotes: false) : throw Wrong("second UNIT");
                break;
        }
    }

    private void Sample()
    {
        var start = _at;
        var name = Name();
        var labels = new List<(string Name, string Value)>();
        if (_text[_at] == '{')
        {
            do
            {
                _at++;
                var label = Name();
                Take("=\"");
                var value = Escaped('"', quotes: true);
                if (labels.Exists(known => known.Name == label))
                {
                    throw Wrong($"label {label} is repeated");
                }

                labels.Add((label, value));
            }
            while (_text[_at] == ',');
            Take("}");
        }

        if (!_series.Add(_text[start.._at]))
        {
            throw Wrong("the series is repeated");
        }

        Take(" ");
        var end = _text.IndexOf('\n', _at);
        var number = _text[_at..end] switch
        {
            "+Inf" => double.PositiveInfinity,
            "-Inf" => double.NegativeInfinity,
            "NaN" => double.NaN,
            var digits => double.Parse(digits, NumberStyles.Float, CultureInfo.InvariantCulture),
        };
        _at = end + 1;
        var family = _current ?? throw Wrong("a sample before any family");
        var allowed = family.Type switch
        {
            "histogram" => name == family.Name + "_bucket" || name == family.Name + "_sum" || name == family.Name + "_count",
            "counter" => name == (_open ? family.Name + "_total" : family.Name),
            _ => name == family.Name,
        };
        if (!allowed)
        {
            throw Wrong($"{name} is not a sample of {family.Name}");
        }

        family.Samples.Add(new ParsedSample(name, labels, number));
    }

    private string Name()
    {
        var start = _at;
        while (char.IsAsciiLetter(_text[_at]) || _text[_at] == '_' || (_at > start && char.IsAsciiDigit(_text[_at])))
        {
            _at++;
        }

        return _at > start ? _text[start.._at] : throw Wrong("no name");
    }

    /// <summary>Text up to <paramref name="end"/>, which is consumed. Any unknown escape is an error.</summary>
    private string Escaped(char end, bool quotes)
    {
        var value = new StringBuilder();
        for (; _text[_at] != end; _at++)
        {
            switch (_text[_at])
            {
                case '\\':
                    _at++;
                    value.Append(_text[_at] switch
                    {
                        '\\' => '\\',
                        'n' => '\n',
                        '"' when quotes => '"',
                        _ => throw Wrong("unknown escape"),
                    });
                    break;
                case '\n' or '\0':
                    throw Wrong("a character that must not be here");
                case '"' when quotes:
                    throw Wrong("an unescaped quote");
                default:
                    value.Append(_text[_at]);
                    break;
            }
        }

        _at++;
        return value.ToString();
    }

    private string TakeAny(params string[] choices)
    {
        var found = Array.Find(choices, choice => string.CompareOrdinal(_text, _at, choice, 0, choice.Length) == 0) ?? throw Wrong("not a declaration");
        _at += found.Length;
        return found;
    }

    private void Take(string expected)
    {
        if (string.CompareOrdinal(_text, _at, expected, 0, expected.Length) != 0)
        {
            throw Wrong($"{expected} expected");
        }

        _at += expected.Length;
    }

    private FormatException Wrong(string what)
    {
        var line = _text[..Math.Min(_at, _text.Length)].Count(character => character == '\n') + 1;
        return new FormatException($"Line {line}: {what}.\n{_text}");
    }
}
