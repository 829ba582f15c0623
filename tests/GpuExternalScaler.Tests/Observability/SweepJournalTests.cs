using GpuExternalScaler.Observability;
using GpuExternalScaler.Sources;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Observability;

public sealed class SweepJournalTests
{
    [Theory]
    [InlineData("ConnectionRefused CircuitOpen ConnectionRefused CircuitOpen ConnectionRefused", 1)]
    [InlineData("CircuitOpen CircuitOpen", 1)]
    [InlineData("CircuitOpen ConnectionRefused CircuitOpen", 2)]
    [InlineData("ConnectionRefused Timeout CircuitOpen Timeout", 2)]
    [InlineData("ConnectionRefused None CircuitOpen", 3)]
    public void A_server_that_is_spared_while_it_is_down_is_no_other_trouble(string reasons, int lines)
    {
        using var metrics = new ScalerMetrics();
        var log = new Lines();
        var journal = new SweepJournal(metrics, log);

        foreach (var reason in reasons.Split(' ').Select(Enum.Parse<SourceReason>))
        {
            journal.Note(new FleetSweep
            {
                Connection = "main",
                Source = FleetSource.Replicas,
                StartedAt = DateTimeOffset.UnixEpoch,
                Duration = TimeSpan.Zero,
                Faults = reason == SourceReason.None ? [] : [new SourceFault(reason, "prometheus:9090", "It does not answer.", DateTimeOffset.UnixEpoch)],
            });
        }

        log.Should().HaveCount(lines);
    }

    private sealed class Lines : List<string>, ILogger<SweepJournal>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Add(formatter(state, exception));
    }
}
