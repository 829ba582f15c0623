namespace GpuExternalScaler.Scaling.Forecasting;

/// <summary>Who forecasts arrivals.</summary>
public enum Forecaster : byte
{
    /// <summary>Nobody.</summary>
    None,

    /// <summary>It stays as it is.</summary>
    LastValue,

    /// <summary>It goes on as over the last half cold start.</summary>
    ShortTrend,

    /// <summary>It goes on as over the last cold start, damped.</summary>
    Trend,

    /// <summary>It goes on as over the last two cold starts, damped.</summary>
    LongTrend,

    /// <summary>It multiplies as over the last cold start.</summary>
    Growth,

    /// <summary>It returns to the mean of the last three cold starts.</summary>
    Mean,

    /// <summary>It returns to the highest of the last two cold starts.</summary>
    Peak,

    /// <summary>As at the same time in the weeks before.</summary>
    Seasonal,
}

/// <summary>The stable names of <see cref="Forecaster"/>.</summary>
public static class Forecasters
{
    private static readonly string[] Codes = ["none", "last_value", "short_trend", "trend", "long_trend", "growth", "mean", "peak", "seasonal"];

    /// <summary>The forecaster's name in metrics, logs and pages, in snake case.</summary>
    public static string Code(this Forecaster forecaster) => Codes[(int)forecaster];

    /// <summary>Whether it expects something to come that is not there: it may wake a fleet.</summary>
    public static bool LooksAhead(this Forecaster forecaster) =>
        forecaster is Forecaster.ShortTrend or Forecaster.Trend or Forecaster.LongTrend or Forecaster.Growth or Forecaster.Seasonal;
}
