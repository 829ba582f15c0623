using System.Runtime.ExceptionServices;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>
/// Writes what the OpenTelemetry SDK collected. The SDK's values may only be read while it exports, so the writer is
/// set before a collection and used within it. Calls are serialised by <see cref="MetricsPage"/>.
/// </summary>
[ExportModes(ExportModes.Pull)]
internal sealed class InstrumentExporter(ILogger logger) : BaseExporter<Metric>, IPullMetricExporter
{
    private readonly HashSet<string> _reported = new(StringComparer.Ordinal);
    private PrometheusTextWriter? _writer;
    private ExceptionDispatchInfo? _failure;
    private bool _exported;

    /// <summary>Set by the reader this exporter is given to.</summary>
    public Func<int, bool>? Collect { get; set; }

    /// <summary>Collects the instruments now and writes them.</summary>
    public void WriteTo(PrometheusTextWriter writer)
    {
        _writer = writer;
        _failure = null;
        _exported = false;
        try
        {
            _ = Collect?.Invoke(Timeout.Infinite);
        }
        finally
        {
            _writer = null;
        }

        // The SDK swallows what an exporter throws; half a page must not pass for a whole one.
        _failure?.Throw();
        if (!_exported)
        {
            throw new InvalidOperationException("The instruments could not be collected: the meter provider is shut down.");
        }
    }

    /// <inheritdoc/>
    public override ExportResult Export(in Batch<Metric> batch)
    {
        // Shutting the provider down collects once more, for nobody.
        if (_writer is not { } writer)
        {
            return ExportResult.Success;
        }

        _exported = true;
        try
        {
            foreach (var (family, metrics) in Families(batch))
            {
                WriteFamily(writer, family, metrics);
            }

            return ExportResult.Success;
        }
#pragma warning disable CA1031 // Carried over to WriteTo, which throws it again.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _failure = ExceptionDispatchInfo.Capture(failure);
            return ExportResult.Failure;
        }
    }

    private static MetricFamilyType? TypeOf(MetricType type) => type switch
    {
        MetricType.LongSum or MetricType.DoubleSum => MetricFamilyType.Counter,
        MetricType.LongGauge or MetricType.DoubleGauge => MetricFamilyType.Gauge,
        MetricType.LongSumNonMonotonic or MetricType.DoubleSumNonMonotonic => MetricFamilyType.Gauge,
        MetricType.Histogram => MetricFamilyType.Histogram,
        _ => null,
    };

    private static double Value(MetricType type, in MetricPoint point) => type switch
    {
        MetricType.LongSum or MetricType.LongSumNonMonotonic => point.GetSumLong(),
        MetricType.DoubleSum or MetricType.DoubleSumNonMonotonic => point.GetSumDouble(),
        MetricType.LongGauge => point.GetGaugeLastValueLong(),
        _ => point.GetGaugeLastValueDouble(),
    };

    private static void WriteHistogram(PrometheusTextWriter writer, LabelSet labels, in MetricPoint point)
    {
        var bounds = new List<double>();
        var counts = new List<long>();
        foreach (var bucket in point.GetHistogramBuckets())
        {
            counts.Add(bucket.BucketCount);
            if (double.IsFinite(bucket.ExplicitBound))
            {
                bounds.Add(bucket.ExplicitBound);
            }
        }

        // An instrument without bounds has no buckets at all: everything lies above.
        if (counts.Count == bounds.Count)
        {
            counts.Add(point.GetHistogramCount() - counts.Sum());
        }

        writer.Histogram(labels, [.. bounds], [.. counts], point.GetHistogramSum());
    }

    private List<(MetricFamily Family, List<Metric> Metrics)> Families(in Batch<Metric> batch)
    {
        var families = new Dictionary<string, (MetricFamily Family, List<Metric> Metrics)>(StringComparer.Ordinal);
        foreach (var metric in batch)
        {
            if (!InstrumentNaming.IsShown(metric.MeterName, metric.Name))
            {
                continue;
            }

            if (TypeOf(metric.MetricType) is not { } ownType)
            {
                ReportLeftOut(metric, "its kind has no place on the page");
                continue;
            }

            var (pageName, type) = InstrumentNaming.OnPage(metric.MeterName, metric.Name, ownType);
            var (name, unit) = InstrumentNaming.Family(pageName, metric.Unit, type);
            if (families.TryGetValue(name, out var known))
            {
                if (known.Family.Type == type)
                {
                    known.Metrics.Add(metric);
                }
                else
                {
                    ReportLeftOut(metric, $"the family {name} is already a {known.Family.Type}");
                }

                continue;
            }

            var help = string.IsNullOrWhiteSpace(metric.Description) ? $"Instrument {metric.Name} of meter {metric.MeterName}." : metric.Description;
            var family = type switch
            {
                MetricFamilyType.Counter => MetricFamily.Counter(name, help, unit),
                MetricFamilyType.Gauge => MetricFamily.Gauge(name, help, unit),
                _ => MetricFamily.Histogram(name, help, unit),
            };
            families.Add(name, (family, [metric]));
        }

        return [.. families.Values.OrderBy(static entry => entry.Family.Name, StringComparer.Ordinal)];
    }

    private void WriteFamily(PrometheusTextWriter writer, MetricFamily family, List<Metric> metrics)
    {
        if (writer.HasBegun(family.Name))
        {
            ReportLeftOut(metrics[0], $"the page has a family {family.Name} of its own");
            return;
        }

        writer.Begin(family);
        var written = new HashSet<string>(StringComparer.Ordinal);
        foreach (var metric in metrics)
        {
            // One name from several meters: the meter tells the series apart.
            var scope = metrics.Count > 1 ? metric.MeterName : null;
            foreach (ref readonly var point in metric.GetMetricPoints())
            {
                var labels = InstrumentNaming.Labels(point.Tags, scope, family.Type);
                // Two series that differ only in what a label cannot express would make a server reject the whole page.
                if (!written.Add(labels.ToString()))
                {
                    ReportLeftOut(metric, $"a series of it repeats the labels {labels}");
                }
                else if (family.Type is MetricFamilyType.Histogram)
                {
                    WriteHistogram(writer, labels, point);
                }
                else
                {
                    writer.Sample(Value(metric.MetricType, point), labels);
                }
            }
        }
    }

    private void ReportLeftOut(Metric metric, string reason)
    {
        // Once per instrument, not once per scrape.
        if (_reported.Add(metric.MeterName + '/' + metric.Name))
        {
            ExpositionLog.InstrumentLeftOut(logger, metric.Name, metric.MeterName, reason);
        }
    }
}

/// <summary>What the metrics page says in the log.</summary>
internal static partial class ExpositionLog
{
    /// <summary>An instrument, or a series of it, cannot be shown beside the others.</summary>
    [LoggerMessage(Level = LogLevel.Warning, Message = "Instrument {Instrument} of meter {Meter} is not or not wholly on the metrics page: {Reason}")]
    public static partial void InstrumentLeftOut(ILogger logger, string instrument, string meter, string reason);
}
