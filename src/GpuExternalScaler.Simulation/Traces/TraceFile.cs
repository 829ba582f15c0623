using System.Globalization;

namespace GpuExternalScaler.Simulation.Traces;

/// <summary>Traces in files.</summary>
public static class TraceFile
{
    private const string Header = "seconds,arrivals";

    /// <summary>
    /// Reads CSV of two columns under the header <c>seconds,arrivals</c>: where an interval begins, in whole seconds, and the messages
    /// in it. An interval ends where the next begins; the last is as long as the one before it. The trace begins at the first row.
    /// </summary>
    /// <remarks>
    /// Intervals of one second throughout are taken as they are (<see cref="ArrivalTrace.IsMeasured"/>). Longer ones are spread over
    /// their seconds as means to draw from: a monotone cubic runs through the messages so far, so that each interval keeps its total
    /// exactly, no second is below zero, and the rate has no steps at the ends of intervals (<see cref="SpreadArrivals"/>).
    /// </remarks>
    /// <param name="reader">The file.</param>
    /// <param name="name">What it is called in reports and messages.</param>
    /// <exception cref="FormatException">It is no such file; the sentence names file, line and reason.</exception>
    public static ArrivalTrace Read(TextReader reader, string name)
    {
        ArgumentNullException.ThrowIfNull(reader);
        var rows = new Rows(name);
        var line = 0;
        while (reader.ReadLine() is { } text)
        {
            line++;
            if (line == 1)
            {
                // Spreadsheets put a byte order mark before it.
                if (text.Trim().TrimStart('\uFEFF') != Header)
                {
                    throw Wrong(name, line, $"the header {Header} is missing");
                }
            }
            else if (!string.IsNullOrWhiteSpace(text))
            {
                rows.Add(line, text);
            }
        }

        return line == 0 ? throw Wrong(name, 1, "the file is empty") : rows.ToTrace(line);
    }

    private static FormatException Wrong(string name, int line, string why) => new($"{name}, line {line}: {why}");

    private sealed class Rows(string name)
    {
        private readonly List<double> _begins = [];
        private readonly List<double> _arrivals = [];
        private bool _isSeconds = true;

        public void Add(int line, string text)
        {
            var comma = text.IndexOf(',', StringComparison.Ordinal);
            if (comma < 0 || text.IndexOf(',', comma + 1) >= 0)
            {
                throw Wrong(name, line, "there must be two values with a comma between");
            }

            var begin = Number(line, text.AsSpan(0, comma), "seconds");
            var arrivals = Number(line, text.AsSpan(comma + 1), "arrivals");
            if (begin != Math.Floor(begin))
            {
                throw Wrong(name, line, "seconds must be whole");
            }

            if (_begins.Count > 0)
            {
                CheckOrder(line, begin);
            }

            _begins.Add(begin);
            _arrivals.Add(arrivals);
        }

        public ArrivalTrace ToTrace(int lines)
        {
            if (_begins.Count == 0)
            {
                throw Wrong(name, lines, "there is no row below the header");
            }

            if (_begins.Count == 1)
            {
                throw Wrong(name, lines, "one row does not tell how long its interval is");
            }

            var last = _begins[^1] - _begins[^2];
            CheckRate(lines, last);
            _begins.Add(_begins[^1] + last);
            if (_begins[^1] - _begins[0] > TraceLimits.Seconds)
            {
                throw TooLong(lines);
            }

            if (_isSeconds)
            {
                return new ArrivalTrace(name, [.. _arrivals], isMeasured: true);
            }

            var perSecond = new double[_arrivals.Count];
            for (var i = 0; i < perSecond.Length; i++)
            {
                perSecond[i] = _arrivals[i] / (_begins[i + 1] - _begins[i]);
            }

            return new ArrivalTrace(name, SpreadArrivals.OverSeconds(_begins, perSecond), isMeasured: false);
        }

        private void CheckOrder(int line, double begin)
        {
            if (begin == _begins[^1])
            {
                throw Wrong(name, line, "the same second as in the row before");
            }

            if (begin < _begins[^1])
            {
                throw Wrong(name, line, "an earlier second than in the row before");
            }

            if (begin - _begins[0] > TraceLimits.Seconds)
            {
                throw TooLong(line);
            }

            _isSeconds &= begin == _begins[^1] + 1;
            CheckRate(line - 1, begin - _begins[^1]);
        }

        private void CheckRate(int line, double seconds)
        {
            if (_arrivals[^1] / seconds > TraceLimits.PerSecond)
            {
                throw Wrong(name, line, string.Create(CultureInfo.InvariantCulture, $"more than {TraceLimits.PerSecond} arrivals in a second"));
            }
        }

        private double Number(int line, ReadOnlySpan<char> text, string column)
        {
            const NumberStyles style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
            return !double.TryParse(text.Trim(), style, CultureInfo.InvariantCulture, out var value) || !double.IsFinite(value) ? throw Wrong(name, line, $"{column} must be a number")
                : value < 0 ? throw Wrong(name, line, $"{column} must not be below zero")
                : value;
        }

        private FormatException TooLong(int line) => Wrong(name, line, $"longer than {TraceLimits.Days} days");
    }
}
