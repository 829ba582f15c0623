using System.Globalization;
using System.Text;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Scenarios;

/// <summary>
/// The readings of a set of queues over time, a second at a time. As text: a row for each reading that differs from the
/// one before of the same queue, all instants in seconds since the beginning.
/// </summary>
public sealed class ScenarioRecording
{
    private const string Header =
        "at,queue,presence,kind,ready,unacked,consumers,missing,readyAt,observedAt,lastPresentAt,freshFor,staleAfter,prefetch,autoAck,singleActive,"
        + "countedAt,countersStaleAfter,countedMessages,countedUnacked,completed,autoAcked,delivered,redelivered,published";

    private static readonly DateTimeOffset Start = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);
    private readonly List<QueueReading[]> _seconds = [];
    private readonly List<string> _names;

    public ScenarioRecording(IEnumerable<string> names)
    {
        _names = [.. names];
    }

    /// <summary>Seconds recorded.</summary>
    public int Count => _seconds.Count;

    /// <summary>Adds the readings of one more second, one a queue, on a clock that stood at <paramref name="start"/> at the beginning.</summary>
    public void Add(ReadOnlySpan<QueueReading> readings, DateTimeOffset start)
    {
        var shifted = new QueueReading[readings.Length];
        for (var i = 0; i < readings.Length; i++)
        {
            shifted[i] = ParseRow(FormatRow(0, "", readings[i], start).Split(',')).Reading;
        }

        _seconds.Add(shifted);
    }

    /// <summary>Runs the fold over all of it.</summary>
    public IReadOnlyList<ScenarioStep> Replay(ScalingPolicy policy)
    {
        var state = new WorkloadState();
        var steps = new List<ScenarioStep>(_seconds.Count);
        for (var at = 0; at < _seconds.Count; at++)
        {
            var snapshot = new WorkloadSnapshot { Queues = _seconds[at] };
            steps.Add(new ScenarioStep(at, DecisionFold.Step(state, snapshot, policy, Start + TimeSpan.FromSeconds(at))));
        }

        return steps;
    }

    public string Write(string comment)
    {
        var text = new StringBuilder().Append("# ").AppendLine(comment).AppendLine(Header);
        var last = new QueueReading[_names.Count];
        for (var at = 0; at < _seconds.Count; at++)
        {
            for (var i = 0; i < _names.Count; i++)
            {
                if (at == 0 || at == _seconds.Count - 1 || _seconds[at][i] != last[i])
                {
                    text.AppendLine(FormatRow(at, _names[i], _seconds[at][i], Start));
                    last[i] = _seconds[at][i];
                }
            }
        }

        return text.ToString();
    }

    public static ScenarioRecording Read(IEnumerable<string> lines)
    {
        var rows = lines.Where(static line => line.Length > 0 && line[0] != '#').ToList();
        if (rows[0] != Header)
        {
            throw new FormatException("other columns than expected");
        }

        var parsed = rows.Skip(1).Select(static row => ParseRow(row.Split(','))).ToList();
        var recording = new ScenarioRecording(parsed.Select(static row => row.Queue).Distinct());
        var current = new QueueReading[recording._names.Count];
        var next = 0;
        for (var at = 0; at <= parsed[^1].At; at++)
        {
            for (; next < parsed.Count && parsed[next].At <= at; next++)
            {
                current[recording._names.IndexOf(parsed[next].Queue)] = parsed[next].Reading;
            }

            recording._seconds.Add([.. current]);
        }

        return recording;
    }

    private static string FormatRow(int at, string queue, in QueueReading r, DateTimeOffset start)
    {
        if (r == default)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{at},{queue},{r.Presence}");
        }

        return string.Create(
            CultureInfo.InvariantCulture,
            $"{at},{queue},{r.Presence},{r.Kind},{r.Ready},{r.Unacked},{r.Consumers},{r.Missing},{Since(r.ReadyAt)},{Since(r.ObservedAt)},{Since(r.LastPresentAt)},{r.FreshFor.TotalSeconds},{r.StaleAfter.TotalSeconds},{r.Prefetch},{r.HasAutoAck},{r.IsSingleActive},{Since(r.Counters.ObservedAt)},{r.Counters.StaleAfter.TotalSeconds},{r.Counters.Messages},{r.Counters.Unacked},{r.Counters.Completed},{r.Counters.AutoAcked},{r.Counters.Delivered},{r.Counters.Redelivered},{r.Counters.Published}");

        // Milliseconds are enough, and a file that a person can read is worth it.
        string Since(DateTimeOffset instant) =>
            instant == default ? "" : (instant - start).TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture);
    }

    private static (int At, string Queue, QueueReading Reading) ParseRow(string[] cells)
    {
        var i = 0;
        var at = int.Parse(cells[i++], CultureInfo.InvariantCulture);
        var queue = cells[i++];
        if (cells.Length == 3)
        {
            return (at, queue, default);
        }

        // Initialisers run in the order of the columns.
        return (at, queue, new QueueReading
        {
            Presence = Enum.Parse<QueuePresence>(cells[i++]),
            Kind = Enum.Parse<QueueKind>(cells[i++]),
            Ready = Whole(cells[i++]),
            Unacked = Whole(cells[i++]),
            Consumers = Whole(cells[i++]),
            Missing = Enum.Parse<QueueGauges>(cells[i++]),
            ReadyAt = Instant(cells[i++]),
            ObservedAt = Instant(cells[i++]),
            LastPresentAt = Instant(cells[i++]),
            FreshFor = Span(cells[i++]),
            StaleAfter = Span(cells[i++]),
            Prefetch = cells[i++] is { Length: > 0 } prefetch ? (int)Whole(prefetch) : null,
            HasAutoAck = bool.Parse(cells[i++]),
            IsSingleActive = bool.Parse(cells[i++]),
            Counters = new QueueCounters
            {
                ObservedAt = Instant(cells[i++]),
                StaleAfter = Span(cells[i++]),
                Messages = Whole(cells[i++]),
                Unacked = Whole(cells[i++]),
                Completed = Whole(cells[i++]),
                AutoAcked = Whole(cells[i++]),
                Delivered = Whole(cells[i++]),
                Redelivered = Whole(cells[i++]),
                Published = Whole(cells[i++]),
            },
        });
    }

    private static long Whole(string cell) => long.Parse(cell, CultureInfo.InvariantCulture);

    private static TimeSpan Span(string cell) => TimeSpan.FromSeconds(double.Parse(cell, CultureInfo.InvariantCulture));

    private static DateTimeOffset Instant(string cell) => cell.Length == 0 ? default : Start + Span(cell);
}
