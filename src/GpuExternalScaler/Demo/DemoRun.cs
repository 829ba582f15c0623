using System.Net;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Rpc.Protocol;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Demo;

/// <summary>
/// Plays the demo: the real server over a stand-in broker, and around them a simulated world in which KEDA and the HPA
/// do what the server's answers lead to. Moves simulated time on in small steps, and asks and scales between them, so
/// that a question takes no simulated time.
/// </summary>
/// <param name="settings">What to play.</param>
/// <param name="screen">Where to show it.</param>
/// <param name="realTime">The time of whoever watches.</param>
internal sealed class DemoRun(DemoSettings settings, DemoScreen screen, TimeProvider realTime)
{
    // Small against every interval of the play, and never exceeded: after a stall the play goes on where it was.
    private static readonly TimeSpan LongestStep = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan Frame = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(20);

    private readonly DemoClock _clock = new(realTime.GetUtcNow());
    private readonly DemoCluster _cluster = new(settings);
    private readonly DemoScript _script = new(settings);
    private readonly HorizontalPodAutoscaler _hpa = new(settings.Hpa);

    // The first poll comes when the server has had time to sample the queue: an answer is what there is to see.
    private readonly KedaActivation _activation = new(settings.ScaledObject, TimeSpan.FromSeconds(settings.ScaledObject.PollingSeconds));
    private KedaAnswer? _answer;
    private int _asked;
    private int _unanswered;

    /// <summary>Plays to the end, or until cancelled, which is an end like any other.</summary>
    /// <returns>What it came to.</returns>
    public async Task<DemoSummary> RunAsync(CancellationToken cancellation)
    {
        foreach (var line in DemoText.Introduction(settings))
        {
            screen.Write(line);
        }

        try
        {
            await PlayAsync(cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
        }

        var summary = _cluster.Summarize();
        foreach (var line in DemoText.Summary(summary, _asked, _unanswered, cancellation.IsCancellationRequested))
        {
            screen.Write(line);
        }

        return summary;
    }

    private ScaledObjectRef Trigger() => new()
    {
        Namespace = "demo",
        Name = settings.Queue,
        ScalerMetadata =
        {
            ["scalerAddress"] = "gpu-external-scaler:9090",
            ["queue"] = settings.Queue,
            ["coldStart"] = $"{settings.ColdStart.TotalSeconds}s",
            ["serviceTime"] = $"{settings.ServiceTime.TotalSeconds}s",
        },
    };

    private async Task PlayAsync(CancellationToken cancellation)
    {
        await using var broker = new StandInBroker(settings.Queue, () => _cluster.At(_clock.Elapsed));
        await broker.StartAsync(cancellation);
        await using var server = ScalerServer.Build(ServerOptions(broker.Url), static logging => logging.SetMinimumLevel(LogLevel.None), _clock);
        await server.StartAsync(cancellation);
        try
        {
            await FirstSweepAsync(server, cancellation);
            await using var keda = new KedaPoller(new Uri(server.Urls.First()), Trigger());
            await keda.BeginAsync(cancellation);
            await screen.PlayAsync(() => PlayAsync(keda, server.Services.GetRequiredService<WorkloadRegistry>(), cancellation));
        }
        finally
        {
            // Not cancelled with the rest: what was started is stopped.
            await server.StopAsync(CancellationToken.None);
        }
    }

    private async Task PlayAsync(KedaPoller keda, WorkloadRegistry registry, CancellationToken cancellation)
    {
        using var pace = new PeriodicTimer(Pace, realTime);
        var syncPeriod = TimeSpan.FromSeconds(settings.Hpa.SyncSeconds);
        var syncAt = syncPeriod;
        var (movedAt, shownAt) = (realTime.GetTimestamp(), realTime.GetTimestamp());
        DemoPhase? phase = null;
        while (_clock.Elapsed < settings.Duration)
        {
            await pace.WaitForNextTickAsync(cancellation);
            var step = realTime.GetElapsedTime(movedAt) * settings.Speed;
            movedAt = realTime.GetTimestamp();

            // Polls and syncs come at exactly their times: a sync a moment late would see the limit of the one before.
            var to = new[] { _clock.Elapsed + step, _clock.Elapsed + LongestStep, _activation.NextPollAt, syncAt, settings.Duration }.Min();
            _clock.Advance(to - _clock.Elapsed);
            var now = _clock.Elapsed;
            if (phase != _script.PhaseAt(now))
            {
                phase = _script.PhaseAt(now);
                screen.Note(now, _script.Describe(phase.Value));
            }

            if (keda.TakePushed())
            {
                Activate(now, _activation.Push(now, _cluster.At(now).Wanted), "StreamIsActive said true");
            }

            if (now >= _activation.NextPollAt)
            {
                var active = Take(await keda.PollAsync(cancellation)).Active;
                Activate(now, _activation.Poll(now, active, _cluster.At(now).Wanted), active == true ? "IsActive said true" : "not active for cooldownPeriod");
            }

            var kept = now >= syncAt;
            if (kept)
            {
                syncAt += syncPeriod;
                await SyncAsync(now, keda, cancellation);
            }

            if (kept || realTime.GetElapsedTime(shownAt) >= Frame)
            {
                shownAt = realTime.GetTimestamp();
                Show(now, keda.Target, registry, kept);
            }
        }
    }

    /// <summary>KEDA's part: between zero and one.</summary>
    private void Activate(TimeSpan now, int wanted, string why)
    {
        var current = _cluster.At(now).Wanted;
        if (wanted != current)
        {
            _cluster.ScaleTo(wanted, now);
            screen.Note(now, $"KEDA scales {current} to {wanted}: {why}");
        }
    }

    /// <summary>The HPA's part: above one. An answer that is an error changes nothing and is not remembered.</summary>
    private async Task SyncAsync(TimeSpan now, KedaPoller keda, CancellationToken cancellation)
    {
        var moment = _cluster.At(now);
        if (moment.Wanted == 0)
        {
            return;
        }

        var value = Take(await keda.ReadMetricAsync(cancellation)).Value;
        _cluster.ScaleTo(_hpa.Sync(now, moment.Wanted, moment.Serving, [new ExternalMetric(TargetType.AverageValue, value, keda.Target)]), now);
    }

    private KedaAnswer Take(KedaAnswer answer)
    {
        _asked++;
        _unanswered += answer.Error is null ? 0 : 1;
        _answer = answer;
        return answer;
    }

    private void Show(TimeSpan now, double target, WorkloadRegistry registry, bool keep)
    {
        var moment = _cluster.At(now);
        var decision = registry.All.FirstOrDefault()?.Published?.Decision;
        screen.Show(
            new DemoRow
            {
                At = now,
                Phase = _script.PhaseAt(now),
                Decision = decision,
                Answer = _answer,
                Target = target,
                Wanted = moment.Wanted,
                Serving = moment.Serving,
            },
            decision is { } decided ? DecisionText.Describe(decided, _clock.GetUtcNow()) : "",
            keep);
    }

    private static ScalerOptions ServerOptions(Uri broker) => new()
    {
        Grpc = new IPEndPoint(IPAddress.Loopback, 0),
        Http = new IPEndPoint(IPAddress.Loopback, 0),
        RabbitMq = new Dictionary<string, RabbitMqOptions>(StringComparer.Ordinal)
        {
            ["stand-in"] = new(
                new RabbitMqConnectionOptions
                {
                    Name = "stand-in",
                    MetricsUrls = [broker],
                    Management = new RabbitMqManagementOptions { Url = broker },

                    // Times are simulated: at 20x, 30 s leave a slow machine 1.5 s for an answer.
                    Interval = TimeSpan.FromSeconds(5),
                    NodeTimeout = TimeSpan.FromSeconds(30),
                    ManagementInterval = TimeSpan.FromSeconds(10),
                    ManagementTimeout = TimeSpan.FromSeconds(30),
                    StaleAfter = TimeSpan.FromSeconds(120),
                },
                Namespaces: []),
        },
    };

    /// <summary>Simulated time begins when the server has seen its broker: nobody wants to watch code being compiled.</summary>
    private async Task FirstSweepAsync(WebApplication server, CancellationToken cancellation)
    {
        var connections = server.Services.GetRequiredService<CurrentConfiguration>().Current.Brokers;
        var startedAt = realTime.GetTimestamp();
        using var pace = new PeriodicTimer(Pace, realTime);
        while (!connections.EachSweptOrReported && realTime.GetElapsedTime(startedAt) < StartLimit)
        {
            await pace.WaitForNextTickAsync(cancellation);
        }
    }
}
