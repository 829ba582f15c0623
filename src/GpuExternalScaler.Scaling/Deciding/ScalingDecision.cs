using System.Runtime.InteropServices;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>Where the service time in a decision came from.</summary>
public enum ServiceTimeSource : byte
{
    /// <summary>There is none.</summary>
    Unknown,

    /// <summary>The policy's <c>serviceTime</c>.</summary>
    Policy,

    /// <summary>Measured: time slots were busy, divided by completions.</summary>
    Measured,
}

/// <summary>Where the prefetch in a decision came from (T5).</summary>
public enum PrefetchSource : byte
{
    /// <summary>There is none.</summary>
    Unknown,

    /// <summary>The policy's <c>prefetch</c>.</summary>
    Policy,

    /// <summary>The broker, which was told by the consumers.</summary>
    Broker,

    /// <summary>Seen: what each consumer held while more waited.</summary>
    Observed,
}

/// <summary>
/// One decision about one workload, with the numbers it rests on, so that it explains itself. Numbers and codes
/// only; <see cref="DecisionText"/> makes sentences when somebody asks.
/// </summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct ScalingDecision
{
    /// <summary>Replicas of the answer per unit of the metric: KEDA's target is the constant 100 (K16).</summary>
    public const long Target = 100;

    // Kept twice for each workload, so instants are without offsets and what is not known takes no space of its own.
    private readonly long _decidedAt;
    private readonly long _observedAt;
    private readonly Optional _arrivalsPerSecond;
    private readonly Optional _completionsPerSecond;
    private readonly Optional _serviceTimeSeconds;

    /// <summary>Why the decision is what it is; says also whether there is one at all.</summary>
    public DecisionReason Reason { get; init; }

    /// <summary>Whether there is an answer. When false, no other number may leave the server (K20).</summary>
    public bool IsDecided => !Reason.IsUndecided();

    /// <summary>Replicas needed, as a real number: finite, never negative.</summary>
    public double Replicas { get; init; }

    /// <summary>Whether a workload at zero should wake, or stay awake (K21).</summary>
    public bool IsActive { get; init; }

    /// <summary>
    /// What KEDA is told: 100 × <see cref="Replicas"/>, rounded up to a whole number so that the integer and the
    /// float field say the same on every KEDA version (K16, K19) and nothing above zero becomes zero.
    /// </summary>
    public long Value => ToValue(Replicas);

    /// <summary>When the decision was made.</summary>
    public DateTimeOffset DecidedAt
    {
        get => new(_decidedAt, TimeSpan.Zero);
        init => _decidedAt = value.UtcTicks;
    }

    /// <summary>When the oldest gauge it rests on was observed.</summary>
    public DateTimeOffset ObservedAt
    {
        get => new(_observedAt, TimeSpan.Zero);
        init => _observedAt = value.UtcTicks;
    }

    /// <summary>Queues that were added up.</summary>
    public int Queues { get; init; }

    /// <summary>Position (from 0) of the first queue without fresh figures, or -1.</summary>
    public int TroubledQueue { get; init; }

    /// <summary>Messages ready (R), over all queues and before <c>share</c>.</summary>
    public long Ready { get; init; }

    /// <summary>Messages unacknowledged (U), likewise.</summary>
    public long Unacked { get; init; }

    /// <summary>Consumers (C), likewise.</summary>
    public long Consumers { get; init; }

    /// <summary>Slots busy now (B), likewise.</summary>
    public long Busy { get; init; }

    /// <summary>Slots busy on average over the window (B̄), likewise.</summary>
    public double BusyAverage { get; init; }

    /// <summary>Messages waiting (Q): ready, and prefetched but not worked on.</summary>
    public long Waiting { get; init; }

    /// <summary>Messages that workers hold which have cancelled their consumers and finish: neither busy nor waiting.</summary>
    public long Draining { get; init; }

    /// <summary>Busy slots ÷ slots, 0 without consumers.</summary>
    public double Saturation { get; init; }

    /// <summary>Arrivals in 1/s (λ), or null when not known.</summary>
    public double? ArrivalsPerSecond
    {
        get => _arrivalsPerSecond.Value;
        init => _arrivalsPerSecond = new Optional(value);
    }

    /// <summary>Completions in 1/s, or null when not known.</summary>
    public double? CompletionsPerSecond
    {
        get => _completionsPerSecond.Value;
        init => _completionsPerSecond = new Optional(value);
    }

    /// <summary>Whether arrivals are only a lower bound, because nothing counts completions (T4).</summary>
    public bool ArrivalsAreLowerBound { get; init; }

    /// <summary>Seconds of work in one message (W), or null when not known.</summary>
    public double? ServiceTimeSeconds
    {
        get => _serviceTimeSeconds.Value;
        init => _serviceTimeSeconds = new Optional(value);
    }

    /// <summary>Where the service time came from.</summary>
    public ServiceTimeSource ServiceTimeSource { get; init; }

    /// <summary>Gauges that some queue's source does not have (T2).</summary>
    public QueueGauges Missing { get; init; }

    /// <summary>Messages a consumer holds (p), 0 for no limit; null when not known.</summary>
    public int? Prefetch { get; init; }

    /// <summary>Where the prefetch came from.</summary>
    public PrefetchSource PrefetchSource { get; init; }

    /// <summary>Whether consumers have messages acknowledged on delivery, so that unacknowledged does not show the work.</summary>
    public bool HasAutoAck { get; init; }

    /// <summary>Whether all queues let one consumer work at a time.</summary>
    public bool IsSingleActive { get; init; }

    /// <summary>The cold start used (L).</summary>
    public TimeSpan ColdStart { get; init; }

    /// <summary>Messages expected to wait when a replica asked for now would be ready.</summary>
    public double WaitingAtColdStart { get; init; }

    /// <summary>Replicas asked for by consumer saturation (signal 1).</summary>
    public double SaturationReplicas { get; init; }

    /// <summary>Replicas asked for by offered load (signal 2).</summary>
    public double LoadReplicas { get; init; }

    /// <summary>Replicas asked for on top by what waits (signal 3).</summary>
    public double BacklogReplicas { get; init; }

    /// <summary>Replicas below which holding did not let the answer fall; 0 when nothing is held.</summary>
    public double FloorReplicas { get; init; }

    /// <summary>What was forecast, and how well that has gone.</summary>
    public ForecastFigures Forecast { get; init; }

    /// <summary>What the signals besides queues say.</summary>
    public FleetFigures Fleet { get; init; }

    /// <summary>The metric's value for a number of replicas; see <see cref="Value"/>.</summary>
    public static long ToValue(double replicas)
    {
        // The subtraction keeps 7 / 0.7 = 10.000000000000002 from reading as 1001.
        var value = Math.Ceiling((replicas * Target) - 1e-6);
        return replicas <= 0 || double.IsNaN(replicas) ? 0 : value >= MaximumValue ? MaximumValue : Math.Max(1, (long)value);
    }

    // A Kubernetes quantity holds any int64, but 100 × 10 million replicas is beyond every cluster and still exact in a double.
    private const long MaximumValue = 1_000_000_000;

    /// <summary>A number that is finite where it is known. Its default is unknown: the bits are those of a NaN, inverted.</summary>
    private readonly record struct Optional
    {
        private readonly long _bits;

        public Optional(double? value) => _bits = value is { } known ? ~BitConverter.DoubleToInt64Bits(known) : 0;

        public double? Value => _bits == 0 ? null : BitConverter.Int64BitsToDouble(~_bits);
    }
}
