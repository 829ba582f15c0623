using GpuExternalScaler.Demo;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Tests.Demo;

/// <summary>The stand-in is read by the source that reads real brokers.</summary>
public sealed class StandInBrokerTests
{
    private static readonly DemoMoment Moment = new(TimeSpan.Zero, Ready: 30, Unacked: 7, Consumers: 8, Published: 100, Delivered: 70, Acknowledged: 63, Wanted: 9, Serving: 8);

    [Theory]
    [InlineData(true, RabbitMqEndpoint.Metrics)]
    [InlineData(false, RabbitMqEndpoint.Management)]
    public async Task The_source_reads_gauges_and_counters_from_it(bool metrics, RabbitMqEndpoint expected)
    {
        var moment = Moment;
        await using var broker = new StandInBroker("image-requests", () => Volatile.Read(ref moment));
        await broker.StartAsync(CancellationToken.None);
        var options = new RabbitMqConnectionOptions
        {
            Name = "stand-in",
            MetricsUrls = metrics ? [broker.Url] : [],
            Management = metrics ? null : new RabbitMqManagementOptions { Url = broker.Url },
            Interval = TimeSpan.FromMilliseconds(50),
            ManagementInterval = TimeSpan.FromMilliseconds(500),
        };
        using var source = new RabbitMqSource(options, new MonotonicClock(TimeProvider.System));
        using var stopping = new CancellationTokenSource();
        var running = source.RunAsync(stopping.Token);

        var first = await ReadingAsync(static reading => reading.Counters.IsKnown && reading.Has(QueueGauges.Consumers));
        (first.Ready, first.Unacked, first.Consumers, first.Kind).Should().Be((30L, 7L, 8L, QueueKind.Classic));
        // Its one list answers for the list of totals too, whichever comes first.
        source.Current.GaugesFrom.Should().BeOneOf(expected, metrics ? expected : RabbitMqEndpoint.ManagementTotals);
        source.Current.CountersFrom.Should().Be(expected);
        source.Current.Fault.Should().BeNull();

        Volatile.Write(ref moment, Moment with { Ready = 29, Published = 101, Delivered = 72, Acknowledged = 65 });
        var second = await ReadingAsync(static reading => reading.Ready == 29 && reading.Counters.Messages == 36);
        (second.Counters.Completed - first.Counters.Completed).Should().Be(2);
        (second.Counters.Delivered - first.Counters.Delivered).Should().Be(2);
        (second.Counters.Published - first.Counters.Published).Should().Be(1);

        await stopping.CancelAsync();
        await running.Invoking(static task => task).Should().ThrowAsync<OperationCanceledException>();

        async Task<QueueReading> ReadingAsync(Func<QueueReading, bool> expectedReading)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            while (true)
            {
                var reading = source.Current.Read("/", "image-requests");
                if (expectedReading(reading))
                {
                    return reading;
                }

                await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, limit.Token);
            }
        }
    }

    [Fact]
    public async Task It_serves_nothing_else()
    {
        await using var broker = new StandInBroker("image-requests", static () => Moment);
        await broker.StartAsync(CancellationToken.None);
        broker.Url.Host.Should().Be("127.0.0.1");
        using var client = new HttpClient();
        (await client.GetAsync(new Uri(broker.Url, "/api/definitions"))).StatusCode.Should().Be(System.Net.HttpStatusCode.NotFound);
    }
}
