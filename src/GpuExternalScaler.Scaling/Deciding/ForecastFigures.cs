using System.Runtime.InteropServices;
using GpuExternalScaler.Scaling.Forecasting;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>The part of a decision that looks ahead. All zero where nothing is forecast, measured or added.</summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct ForecastFigures
{
    /// <summary>Whose forecast is used; none while too little was seen, or forecasts are off.</summary>
    public Forecaster Forecaster { get; init; }

    /// <summary>Arrivals in 1/s at the end of the cold start that are not exceeded with the policy's probability; meaningful with a forecaster.</summary>
    public double ArrivalsPerSecond { get; init; }

    /// <summary>Replicas that offered load and backlog need then.</summary>
    public double Replicas { get; init; }

    /// <summary>Replicas of the queues' signals without any forecast: the answer is never below them.</summary>
    public double ReactiveReplicas { get; init; }

    /// <summary>Share of the time, 0 to 1, in which what arrived stayed at or under what had been forecast; meaningful with <see cref="Scored"/> above 0.</summary>
    public double Coverage { get; init; }

    /// <summary>Forecasts that have been held against what came.</summary>
    public int Scored { get; init; }

    /// <summary>Replicas asked for that are not there yet and are counted on.</summary>
    public double PendingReplicas { get; init; }

    /// <summary>Seconds of cold start measured (P90 of the newest watches); 0 before there are enough.</summary>
    public double MeasuredColdStartSeconds { get; init; }

    /// <summary>Whether more was asked for than came within three cold starts, and no maximum is known to be the cause.</summary>
    public bool IsWithoutCapacity { get; init; }

    /// <summary>Watches behind it.</summary>
    public int ColdStartWatches { get; init; }

    /// <summary>Replicas that the schedule demands.</summary>
    public double ScheduledReplicas { get; init; }

    /// <summary>Spare replicas in the answer.</summary>
    public int WarmReplicas { get; init; }

    /// <summary>
    /// The ledger: seconds of replicas that forecasts have cost so far (negative: saved), in a model of the HPA and the cold start.
    /// </summary>
    public double ReplicaSecondsAdded { get; init; }

    /// <summary>Seconds of waiting, added up over messages, that they have avoided there.</summary>
    public double WaitSecondsAvoided { get; init; }
}
