using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>What signal 5 remembers.</summary>
internal sealed class LatencyState
{
    /// <summary>Replicas serving, averaged over the query's window; null before any were known.</summary>
    public double? Serving { get; set; }

    /// <summary>Replicas there were when that was last brought up to date.</summary>
    public double ServingThen { get; set; }

    /// <summary>When that was last brought up to date.</summary>
    public DateTimeOffset ServingAt { get; set; }

    /// <summary>Replicas the signal asks for.</summary>
    public double Need { get; set; }

    /// <summary>When that last rose; null before.</summary>
    public DateTimeOffset? RoseAt { get; set; }

    /// <summary>The latency then; null once the objective was met since, or before.</summary>
    public double? SecondsAtRise { get; set; }

    /// <summary>Replicas there were then.</summary>
    public double ExistingAtRise { get; set; }

    /// <summary>Since when saturation has been too low for replicas to be what is missing; null while it is not.</summary>
    public DateTimeOffset? SlackSince { get; set; }

    /// <summary>The newest latency taken in.</summary>
    public DateTimeOffset SampledAt { get; set; }

    /// <summary>An independent copy.</summary>
    public LatencyState Clone() => (LatencyState)MemberwiseClone();
}

/// <summary>Signal 5: replicas that served during the query's window × min(latency ÷ objective, 2), with damping.</summary>
internal static class LatencySignal
{
    // More than double at once is never right: latency is not proportional to anything.
    private const double MostRatio = 2;

    // A rise that brought less than this part of what replicas could bring would not bring more the next time.
    private const double Helped = 1.0 / 3;
    private static readonly TimeSpan SlackFor = TimeSpan.FromSeconds(60);

    /// <summary>Replicas asked for; changes the state.</summary>
    /// <param name="state">What it remembers.</param>
    /// <param name="reading">The latency.</param>
    /// <param name="policy">The policy.</param>
    /// <param name="context">The rest.</param>
    /// <param name="isFresh">Whether the answer may fall by it.</param>
    public static double Evaluate(LatencyState state, in QueryReading reading, ScalingPolicy policy, in FleetContext context, out bool isFresh)
    {
        isFresh = true;
        if (policy.LatencyObjective is not { } objective || policy.LatencyQuery is null || reading.Reading.Presence == FleetPresence.NotUsed)
        {
            return 0;
        }

        NoteServing(state, reading.Window, context);
        NoteSlack(state, policy, context);
        if (!reading.Reading.IsFresh(context.Now))
        {
            isFresh = false;
            return 0;
        }

        if (reading.Value is not { } seconds)
        {
            // No traffic has no latency. Where there may be work, somebody does not tell.
            isFresh = context.IsIdle == true && !reading.Reading.IsPartial;
            state.Need = isFresh ? 0 : state.Need;
            return 0;
        }

        if (reading.Reading.ObservedAt > state.SampledAt)
        {
            state.SampledAt = reading.Reading.ObservedAt;
            Follow(state, seconds / Math.Max(objective.TotalSeconds, 0.001), seconds, reading, policy, context);
        }

        if (state.SlackSince is { } since && context.Now - since >= SlackFor)
        {
            // Slow for another reason: replicas that have nothing to do do not make it faster.
            state.Need = 0;
        }

        isFresh = !reading.Reading.IsPartial;
        return state.Need;
    }

    private static void Follow(LatencyState state, double ratio, double seconds, in QueryReading reading, ScalingPolicy policy, in FleetContext context)
    {
        var serving = state.Serving ?? context.Existing;
        if (ratio <= 1)
        {
            if (reading.Reading.IsPartial && !context.HoldIsOver)
            {
                return;
            }

            // Replicas that began in the window are part of why it is met.
            state.SecondsAtRise = null;
            state.Need = Math.Max(serving, context.Existing) * ratio;
            return;
        }

        var rearmed = state.RoseAt is not { } at || context.Now - at >= context.ColdStart + reading.Window;
        if (state.SecondsAtRise is { } before && rearmed && seconds > before * (1 - (Helped * Math.Max(0, 1 - (state.ExistingAtRise / Math.Max(context.Existing, 1))))))
        {
            // It did not help then. What it asked for is kept for a while, for what it is worth, and given back.
            state.Need = context.Now - state.RoseAt >= policy.HoldFor ? 0 : state.Need;
            return;
        }

        var wanted = context.AboveDeadBand(serving * Math.Min(ratio, MostRatio), policy);
        if (rearmed && state.SlackSince is null && wanted > state.Need && wanted > context.Existing && !(context.Existing >= context.Maximum))
        {
            state.Need = wanted;
            state.RoseAt = context.Now;
            state.SecondsAtRise = seconds;
            state.ExistingAtRise = context.Existing;
        }
        else if (!rearmed && state.SecondsAtRise is null && state.SlackSince is null)
        {
            // Too slow again before it may rise again: not the moment to give replicas away.
            state.Need = Math.Max(state.Need, context.Existing);
        }
    }

    // Of a window: what served at its beginning counts for as much as what serves now.
    private static void NoteServing(LatencyState state, TimeSpan window, in FleetContext context)
    {
        if (context.ExistingSource == ReplicaSource.Unknown)
        {
            return;
        }

        var elapsed = (context.Now - state.ServingAt).TotalSeconds;
        var weight = state.Serving is null || window <= TimeSpan.Zero ? 1 : 1 - Math.Exp(-elapsed / window.TotalSeconds);

        // Until now there were as many as were last seen, however often that is looked at.
        state.Serving = state.Serving is { } before && weight < 1 ? before + ((state.ServingThen - before) * weight) : context.Existing;
        state.ServingThen = context.Existing;
        state.ServingAt = context.Now;
    }

    private static void NoteSlack(LatencyState state, ScalingPolicy policy, in FleetContext context) =>
        state.SlackSince = context.Saturation < 0.5 * policy.SaturationThreshold ? state.SlackSince ?? context.Now : null;
}
