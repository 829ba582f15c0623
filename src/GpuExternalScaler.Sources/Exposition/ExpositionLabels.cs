using System.Buffers;
using System.Text;

namespace GpuExternalScaler.Sources.Exposition;

/// <summary>The labels of one sample, read from the page as they are asked for.</summary>
public readonly ref struct ExpositionLabels
{
    private readonly ReadOnlySpan<byte> _text;

    /// <param name="text">What stands between the braces, already checked by <see cref="TryMeasure"/>.</param>
    internal ExpositionLabels(ReadOnlySpan<byte> text) => _text = text;

    /// <summary>Enumerates the labels in the page's order.</summary>
    public Enumerator GetEnumerator() => new(_text);

    /// <summary>Finds a label's value by the label's name (case matters).</summary>
    public bool TryGet(ReadOnlySpan<byte> name, out ExpositionText value)
    {
        foreach (var label in this)
        {
            if (label.Name.SequenceEqual(name))
            {
                value = label.Value;
                return true;
            }
        }

        value = default;
        return false;
    }

    /// <summary>Length of a label set up to its closing brace; false if it is not well formed.</summary>
    internal static bool TryMeasure(ReadOnlySpan<byte> text, out int length)
    {
        length = 0;
        var enumerator = new Enumerator(text);
        while (true)
        {
            if (enumerator.AtEnd(out length))
            {
                return true;
            }

            if (!enumerator.MoveNext())
            {
                return false;
            }
        }
    }

    /// <summary>Walks over a label set.</summary>
    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<byte> _text;
        private int _position;
        private bool _first;

        internal Enumerator(ReadOnlySpan<byte> text)
        {
            _text = text;
            _first = true;
        }

        /// <summary>The present label.</summary>
        public ExpositionLabel Current { get; private set; }

        /// <summary>Goes to the next label; false at the end.</summary>
        public bool MoveNext()
        {
            SkipBlanks();
            if (!_first)
            {
                if (!Skip((byte)','))
                {
                    return false;
                }

                SkipBlanks();
            }

            var nameStart = _position;
            while (_position < _text.Length && IsLabelNameByte(_text[_position], _position == nameStart))
            {
                _position++;
            }

            var name = _text[nameStart.._position];
            SkipBlanks();
            if (name.IsEmpty || !Skip((byte)'='))
            {
                return false;
            }

            SkipBlanks();
            if (!Skip((byte)'"'))
            {
                return false;
            }

            var valueStart = _position;
            var escaped = false;
            while (true)
            {
                var stop = _text[_position..].IndexOfAny((byte)'"', (byte)'\\');
                if (stop < 0)
                {
                    return false;
                }

                _position += stop;
                if (_text[_position] == '"')
                {
                    break;
                }

                escaped = true;
                _position += 2;
                if (_position > _text.Length)
                {
                    _position = _text.Length;
                    return false;
                }
            }

            Current = new ExpositionLabel(name, new ExpositionText(_text[valueStart.._position], escaped));
            _position++;
            _first = false;
            return true;
        }

        /// <summary>Whether the closing brace comes next (a comma before it is allowed).</summary>
        internal bool AtEnd(out int length)
        {
            var here = _position;
            SkipBlanks();
            if (!_first && Skip((byte)','))
            {
                SkipBlanks();
            }

            length = _position;
            var atEnd = _position < _text.Length && _text[_position] == '}';
            _position = here;
            return atEnd;
        }

        private static bool IsLabelNameByte(byte value, bool first) =>
            char.IsAsciiLetter((char)value) || value == '_' || (!first && char.IsAsciiDigit((char)value));

        private bool Skip(byte expected)
        {
            if (_position >= _text.Length || _text[_position] != expected)
            {
                return false;
            }

            _position++;
            return true;
        }

        private void SkipBlanks()
        {
            while (_position < _text.Length && _text[_position] is (byte)' ' or (byte)'\t')
            {
                _position++;
            }
        }
    }
}

/// <summary>One label.</summary>
public readonly ref struct ExpositionLabel
{
    internal ExpositionLabel(ReadOnlySpan<byte> name, ExpositionText value)
    {
        Name = name;
        Value = value;
    }

    /// <summary>Label name.</summary>
    public ReadOnlySpan<byte> Name { get; }

    /// <summary>Label value.</summary>
    public ExpositionText Value { get; }
}

/// <summary>A label value as it stands on the page, possibly with escapes.</summary>
public readonly ref struct ExpositionText
{
    internal ExpositionText(ReadOnlySpan<byte> raw, bool hasEscapes)
    {
        Raw = raw;
        HasEscapes = hasEscapes;
    }

    /// <summary>The bytes on the page, between the quotes.</summary>
    public ReadOnlySpan<byte> Raw { get; }

    /// <summary>Whether <see cref="Raw"/> holds backslashes, and so differs from the value.</summary>
    public bool HasEscapes { get; }

    /// <summary>Whether the value equals the given UTF-8 text.</summary>
    public bool Equals(ReadOnlySpan<byte> text)
    {
        if (!HasEscapes)
        {
            return Raw.SequenceEqual(text);
        }

        var rented = ArrayPool<byte>.Shared.Rent(Raw.Length);
        var equal = Unescape(rented, out var length) && rented.AsSpan(0, length).SequenceEqual(text);
        ArrayPool<byte>.Shared.Return(rented);
        return equal;
    }

    /// <summary>
    /// Writes the value: <c>\\</c>, <c>\"</c> and <c>\n</c> become one byte each, any other backslash stays what it is.
    /// False if the destination is too small; <see cref="Raw"/>'s length is always enough.
    /// </summary>
    public bool Unescape(Span<byte> destination, out int length)
    {
        length = 0;
        var raw = Raw;
        while (!raw.IsEmpty)
        {
            var backslash = HasEscapes ? raw.IndexOf((byte)'\\') : -1;
            var plain = backslash < 0 ? raw.Length : backslash;
            if (length + plain + (backslash < 0 ? 0 : 1) > destination.Length)
            {
                return false;
            }

            raw[..plain].CopyTo(destination[length..]);
            length += plain;
            raw = raw[plain..];
            if (raw.IsEmpty)
            {
                break;
            }

            var next = raw.Length > 1 ? raw[1] : (byte)0;
            var known = next is (byte)'\\' or (byte)'"' or (byte)'n';
            destination[length++] = next switch { (byte)'n' => (byte)'\n', (byte)'"' => (byte)'"', _ => (byte)'\\' };
            raw = raw[(known ? 2 : 1)..];
        }

        return true;
    }

    /// <summary>The value as a string; bytes that are not UTF-8 become replacement characters.</summary>
    public override string ToString()
    {
        if (!HasEscapes)
        {
            return Encoding.UTF8.GetString(Raw);
        }

        var rented = ArrayPool<byte>.Shared.Rent(Raw.Length);
        _ = Unescape(rented, out var length);
        var text = Encoding.UTF8.GetString(rented, 0, length);
        ArrayPool<byte>.Shared.Return(rented);
        return text;
    }
}
