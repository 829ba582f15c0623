using System.Diagnostics.CodeAnalysis;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>The shapes of an answer (T17).</summary>
internal enum PrometheusResultType : byte
{
    /// <summary>One sample for each series, all of one instant.</summary>
    Vector,

    /// <summary>Samples over time for each series.</summary>
    Matrix,

    /// <summary>One number.</summary>
    Scalar,

    /// <summary>One text.</summary>
    String,
}

/// <summary>One sample.</summary>
/// <param name="At">
/// On the server's clock. In a vector this is the time of the evaluation and not the sample's own (T17): see <see cref="SampleAges"/>.
/// </param>
/// <param name="Value">A finite number.</param>
internal readonly record struct PrometheusPoint(DateTimeOffset At, double Value);

/// <summary>One series of an answer.</summary>
/// <param name="Labels">Its labels, the metric's name included where the expression keeps it.</param>
/// <param name="Points">
/// Its samples by time. A sample that is NaN, infinite or no number is lost (T16, T17), so a series of a vector may have none: it
/// exists, and its figure is not known.
/// </param>
internal sealed record PrometheusSeries(PrometheusLabels Labels, IReadOnlyList<PrometheusPoint> Points)
{
    /// <summary>The only value of a vector's series; null if it was lost.</summary>
    public double? Value => Points.Count == 1 ? Points[0].Value : null;
}

/// <summary>An answer that could be read.</summary>
internal sealed record PrometheusResult
{
    public required PrometheusResultType Type { get; init; }

    /// <summary>Series of a vector or matrix, in the server's order; a scalar is one without labels; empty for a string.</summary>
    public IReadOnlyList<PrometheusSeries> Series { get; init; } = [];

    /// <summary>The text of a string.</summary>
    public string? Text { get; init; }

    /// <summary>When the server evaluated the query, on its clock; null for a matrix and where there are no samples.</summary>
    public DateTimeOffset? EvaluatedAt { get; init; }

    /// <summary>
    /// Warnings (T19). Their text is not kept: it may quote the query, and with it what somebody wrote into a trigger.
    /// </summary>
    public int Warnings { get; init; }

    /// <summary>Remarks of Prometheus 3 on how the query is written; the data is whole.</summary>
    public int Infos { get; init; }

    /// <summary>Samples that are NaN, infinite or no number.</summary>
    public int LostSamples { get; init; }

    /// <summary>Native histograms, which are skipped: series of a vector, and elements of a matrix's.</summary>
    public int SkippedHistograms { get; init; }

    /// <summary>Series that could not be read and were left out: an answer with such cannot prove that something is absent.</summary>
    public int BadSeries { get; init; }

    /// <summary>The server itself says that it could not reach all data (VictoriaMetrics).</summary>
    public bool SaysPartial { get; init; }

    /// <summary>
    /// Series may be missing: usable for growing, not for shrinking (T19). Infos do not count, or a rate of a metric that is not
    /// called <c>_total</c> would never let anything shrink.
    /// </summary>
    public bool IsPartial => SaysPartial || Warnings > 0 || BadSeries > 0;

    /// <summary>The one number of a scalar, or of a vector of one series; false if there is none, or more than one.</summary>
    public bool TryGetSingle(out double value)
    {
        value = Series.Count == 1 && Type is PrometheusResultType.Scalar or PrometheusResultType.Vector ? Series[0].Value ?? double.NaN : double.NaN;
        return double.IsFinite(value);
    }
}

/// <summary>The answer to a query, or why there is none.</summary>
internal sealed record PrometheusAnswer
{
    /// <summary>Why there is no result.</summary>
    public SourceReason Reason { get; init; }

    /// <summary>The result, exactly where <see cref="Reason"/> is <see cref="SourceReason.None"/>.</summary>
    public PrometheusResult? Result { get; init; }

    /// <summary>HTTP status where that is the reason, else 0.</summary>
    public int Status { get; init; }

    /// <summary>What the server said about it, as far as it can be repeated.</summary>
    public PrometheusError Error { get; init; }

    /// <summary>Of <see cref="SourceReason.CircuitOpen"/>: what the last attempt came to.</summary>
    public SourceReason Cause { get; init; }

    /// <summary>Of <see cref="SourceReason.Unexpected"/>: the exception's type.</summary>
    public string? Defect { get; init; }

    /// <summary>The time that was allowed.</summary>
    public TimeSpan Allowed { get; init; }

    /// <summary>
    /// When the query was sent, on the program's clock. What it shows is at least this young; with <see cref="SampleAges"/>, a
    /// sample was observed at this instant less its age.
    /// </summary>
    public DateTimeOffset SentAt { get; init; }

    /// <summary>Size of the answer, unpacked, in bytes.</summary>
    public long Bytes { get; init; }

    [MemberNotNullWhen(true, nameof(Result))]
    public bool Succeeded => Result is not null;
}
