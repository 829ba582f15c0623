using System.Globalization;
using System.Text;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>One poll: what GetMetrics and IsActive answered, and when they were asked.</summary>
internal readonly record struct Answer(double AtSeconds, GoHalf Metrics, GoHalf Active)
{
    public bool IsDecided => Metrics.Code == "OK" && Active.Code == "OK";
}

/// <summary>
/// Everything a workload was answered, polled as KEDA does but several times a second. What must never happen for a
/// moment cannot be found by looking now and then.
/// </summary>
internal sealed class AnswerLog : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    private readonly GoSession _session;
    private readonly string _name;
    private readonly List<(double AtSeconds, string What)> _marks = [];
    private readonly long _start = TimeProvider.System.GetTimestamp();

    public AnswerLog(ScalerProcess scaler, GoWorkload workload)
    {
        _name = workload.Name;
        _session = scaler.Grpc.Poll(workload, Interval);
    }

    public IReadOnlyList<Answer> Answers =>
        [.. _session.Events.Where(static e => e.Event == "pair").Select(static e => new Answer(e.AtMs / 1000, e.Metrics!, e.Active!))];

    public Answer Last => Answers[^1];

    /// <summary>Seconds since polling began, by nearly the same clock as the answers'.</summary>
    public double Now => TimeProvider.System.GetElapsedTime(_start).TotalSeconds;

    /// <summary>Notes what the test did, for the timeline.</summary>
    public void Mark(string what) => _marks.Add((Now, what));

    /// <summary>The answers asked for after a moment.</summary>
    public IReadOnlyList<Answer> Since(double atSeconds) => [.. Answers.Where(answer => answer.AtSeconds >= atSeconds)];

    /// <summary>Waits for an answer asked for from now on that is accepted.</summary>
    public async Task<Answer> WaitForAsync(Func<Answer, bool> accept, string what, TimeSpan? limit = null)
    {
        var from = Now;
        return await Eventually.SeesAsync(
            () => Task.FromResult(Since(from).Cast<Answer?>().FirstOrDefault(answer => accept(answer!.Value))),
            static found => found is not null,
            $"{_name}: {what}",
            limit,
            () => Timeline()) ?? default;
    }

    /// <summary>No answer below what was needed before and still is, and activity never false; how long undecided is no matter.</summary>
    public void ShouldNeverDropBelow(long value)
    {
        var answers = Answers;
        answers.Should().NotBeEmpty();
        answers.Count(static answer => answer.Metrics.Code is not ("OK" or "Unavailable")).Should().Be(0, Timeline());
        answers.Count(answer => answer.Metrics.Code == "OK" && answer.Metrics.Value < value).Should().Be(0, Timeline());
        answers.Count(static answer => answer.Active.Code == "OK" && !answer.Active.Result).Should().Be(0, Timeline());
    }

    /// <summary>Every poll was answered.</summary>
    public void ShouldAlwaysBeDecided() => ShouldBeDecidedSince(0);

    /// <summary>Every poll was answered that was asked after a moment.</summary>
    public void ShouldBeDecidedSince(double atSeconds) =>
        Since(atSeconds).Count(static answer => !answer.IsDecided).Should().Be(0, Timeline());

    /// <summary>Runs of equal answers, with what the test did between them.</summary>
    public string Timeline()
    {
        var text = new StringBuilder("timeline of ").Append(_name).AppendLine(":");
        var lines = _marks.Select(static mark => (mark.AtSeconds, Text: $"-- {mark.What}")).ToList();
        string? before = null;
        foreach (var answer in Answers)
        {
            var line = answer.Metrics.Code == "OK"
                ? $"{answer.Metrics.Value} {(answer.Active.Code == "OK" ? answer.Active.Result ? "active" : "INACTIVE" : answer.Active.Code)}"
                : $"{answer.Metrics.Code} {answer.Metrics.Message}";
            // Ages grow from poll to poll.
            var key = answer.Metrics.Code == "OK" ? line : answer.Metrics.Message.Split(' ')[0];
            if (key != before)
            {
                lines.Add((answer.AtSeconds, line));
                before = key;
            }
        }

        foreach (var (at, line) in lines.OrderBy(static line => line.AtSeconds))
        {
            text.Append(at.ToString("0.0", CultureInfo.InvariantCulture).PadLeft(7)).Append(" s  ").AppendLine(line);
        }

        return text.ToString();
    }

    public async ValueTask DisposeAsync() => await _session.DisposeAsync();
}
