using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Demo;

/// <summary>What the demo plays. All times are simulated ones.</summary>
internal sealed record DemoSettings
{
    /// <summary>Slowest and fastest that can be watched and kept up with, in simulated seconds per real second.</summary>
    public static readonly (double From, double To) Speeds = (1, 100);

    /// <summary>
    /// Shortest and longest demo. In a shorter one the idle phase would end before KEDA's cooldown, and nobody would see
    /// the fleet go to zero.
    /// </summary>
    public static readonly (TimeSpan From, TimeSpan To) Durations = (TimeSpan.FromMinutes(10), TimeSpan.FromHours(24));

    /// <summary>Simulated seconds per real second.</summary>
    public double Speed { get; init; } = 15;

    /// <summary>Simulated time from the first to the last moment.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromMinutes(16);

    /// <summary>Seed of arrivals, service times and cold starts: the same messages arrive in every run.</summary>
    public int Seed { get; init; } = 20261101;

    /// <summary>The queue's name.</summary>
    public string Queue { get; init; } = "image-requests";

    /// <summary>Arrivals in the steady phase, in 1/s.</summary>
    public double SteadyArrivalsPerSecond { get; init; } = 2;

    /// <summary>Arrivals in the spike, as a multiple of the steady ones.</summary>
    public double SpikeFactor { get; init; } = 5;

    /// <summary>Mean time of work in one message.</summary>
    public TimeSpan ServiceTime { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Mean time from asking for a pod to its first message.</summary>
    public TimeSpan ColdStart { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Service times and cold starts vary by up to this share of their mean, either way.</summary>
    public double Spread { get; init; } = 0.3;

    /// <summary>A message that waited longer than this counts as late in the summary.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The ScaledObject. Cooldown and stabilisation are 300 s by default, shorter here so that there is something to see.</summary>
    public ScaledObjectSpec ScaledObject { get; init; } = new()
    {
        CooldownSeconds = 90,
        Autoscaler = new AutoscalerSpec
        {
            MaxReplicas = 40,
            ScaleDown = ScalingRules.DefaultDown with { StabilizationWindowSeconds = 60 },
        },
    };

    /// <summary>The HPA that KEDA makes for it.</summary>
    public AutoscalerSpec Hpa => ScaledObject.Autoscaler;
}
