using GpuExternalScaler.Sources.Exposition;

namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>
/// Collects samples of one sweep, from pages or from Prometheus results, and adds them up per pod (T14, T16, T20). The order
/// of samples does not matter, nor how often one is given. Reused from sweep to sweep; not thread-safe.
/// </summary>
/// <param name="staleAfter">Age past which samples with timestamps of their own are refused (T20).</param>
internal sealed class ModelServerSampleReader(TimeSpan staleAfter)
{
    /// <summary>
    /// Most series kept. A thousand servers have some thousands; what a broken one may send would otherwise fill the memory.
    /// </summary>
    internal const int MostSeries = 100_000;

    // No server has a thousand million requests.
    private const double LargestCount = 1e9;

    // A fill of a little more than 1 is rounding; 90 is a percentage, which none of these names is.
    private const double LargestFill = 1.01;

    private readonly PickedLabels _labels = new(ModelServerLabels.Names);
    private readonly Dictionary<byte[], Series> _series = new(ByteStringComparer.Instance);
    private readonly RefusalTally _refused = new();
    private SampleClock _clock;
    private bool _isOverfull;

    /// <summary>Begins a sweep, and forgets the last.</summary>
    /// <param name="now">When the sweep asks: the time of samples that have none of their own.</param>
    public void Begin(DateTimeOffset now)
    {
        _series.Clear();
        _refused.Clear();
        _isOverfull = false;
        _clock = new SampleClock(now, staleAfter);
    }

    /// <summary>Takes the samples of a server's page; whose it is its labels cannot say.</summary>
    /// <param name="page">Prometheus text format.</param>
    /// <param name="namespace">The pod's namespace.</param>
    /// <param name="pod">The pod.</param>
    /// <param name="server">Where the page came from, <c>host:port</c>: a pod may run several servers.</param>
    /// <returns>Samples on the page, of whatever metric; a page without any is no page of metrics.</returns>
    public int TakePage(ReadOnlySpan<byte> page, string @namespace, string pod, string server)
    {
        var reader = new ExpositionReader(page);
        var name = default(ReadOnlySpan<byte>);
        ModelServerMetric? metric = null;
        while (reader.Read())
        {
            if (!reader.Name.SequenceEqual(name))
            {
                name = reader.Name;
                metric = ModelServerMetric.Find(name);
            }

            if (metric is null)
            {
                continue;
            }

            var readable = _labels.Take(reader.Labels);
            _labels.Set((int)ModelServerLabel.Namespace, @namespace);
            _labels.Set((int)ModelServerLabel.Pod, pod);
            _labels.Default((int)ModelServerLabel.Server, server);
            Take(metric, readable, reader.Value, reader.TimestampMilliseconds);
        }

        if (reader.BadLines > 0)
        {
            _refused.Add(SampleRefusal.BadLine, count: reader.BadLines);
        }

        return reader.Samples;
    }

    /// <summary>Takes one sample of a query's result.</summary>
    /// <param name="metric">Which metric, by <see cref="ModelServerMetric.Find"/>.</param>
    /// <param name="labels">Its labels, the pod among them.</param>
    /// <param name="value">Its value.</param>
    /// <param name="sampledAt">When it was sampled, which is not when it was asked for (T17).</param>
    public void Take(ModelServerMetric metric, IEnumerable<KeyValuePair<string, string>> labels, double value, DateTimeOffset sampledAt) =>
        Take(metric, _labels.Take(labels), value, sampledAt.ToUnixTimeMilliseconds());

    /// <summary>Ends the sweep.</summary>
    public ModelServerSweep Finish()
    {
        var pods = _series.Values
            .GroupBy(static series => (series.Namespace, series.Pod))
            .Select(static pod => PodOf([.. pod]))
            .OrderBy(static pod => pod.Namespace, StringComparer.Ordinal)
            .ThenBy(static pod => pod.Pod, StringComparer.Ordinal)
            .ToList();
        return new ModelServerSweep { Pods = pods, IsOverfull = _isOverfull, Refused = _refused.ToArray() };
    }

    private static ModelServerPod PodOf(List<Series> series)
    {
        var kind = series.Min(static series => series.Kind);
        series.RemoveAll(series => series.Kind != kind);
        return new ModelServerPod
        {
            Namespace = series[0].Namespace,
            Pod = series[0].Pod,
            Kind = kind,
            Waiting = Sum(series, ModelServerFigure.Waiting),
            Running = Sum(series, ModelServerFigure.Running),
            CacheFill = series.Where(static series => series.Figure == ModelServerFigure.CacheFill).Max(static series => (double?)series.Value),
            SampledAt = DateTimeOffset.FromUnixTimeMilliseconds(series.Min(static series => series.Milliseconds)),
        };
    }

    private static double? Sum(List<Series> series, ModelServerFigure figure)
    {
        double? sum = null;
        foreach (var one in series)
        {
            sum = one.Figure == figure ? (sum ?? 0) + one.Value : sum;
        }

        return sum;
    }

    private void Take(ModelServerMetric metric, bool readable, double value, long? timestamp)
    {
        if (!readable)
        {
            _refused.Add(SampleRefusal.BadLabel);
            return;
        }

        var isFill = metric.Figure == ModelServerFigure.CacheFill;
        if (!(value >= 0 && value <= (isFill ? LargestFill : LargestCount)))
        {
            _refused.Add(SampleRefusal.BadValue);
            return;
        }

        if (_clock.Place(timestamp, out var milliseconds) is { } refusal)
        {
            _refused.Add(refusal);
            return;
        }

        if (!_labels.Has((int)ModelServerLabel.Pod))
        {
            _refused.Add(SampleRefusal.NoPod);
            return;
        }

        // Two names of one figure (vLLM's old and new) share a key.
        var all = _series.GetAlternateLookup<ReadOnlySpan<byte>>();
        var key = _labels.Key((byte)(((int)metric.Kind << 4) | (int)metric.Figure));
        if (!all.TryGetValue(key, out var series))
        {
            if (_series.Count >= MostSeries)
            {
                _isOverfull = true;
                _refused.Add(SampleRefusal.TooMany);
                return;
            }

            series = new Series(metric, _labels.Text((int)ModelServerLabel.Namespace), _labels.Text((int)ModelServerLabel.Pod));
            all[key] = series;
        }

        series.Take(isFill ? Math.Min(value, 1) : value, milliseconds);
    }

    private sealed class Series(ModelServerMetric metric, string @namespace, string pod)
    {
        public ModelServerKind Kind => metric.Kind;

        public ModelServerFigure Figure => metric.Figure;

        public string Namespace => @namespace;

        public string Pod => pod;

        public double Value { get; private set; } = -1;

        public long Milliseconds { get; private set; }

        /// <summary>Of repeated figures the larger counts, as for devices (T11).</summary>
        public void Take(double value, long milliseconds)
        {
            if (value > Value || (value == Value && milliseconds > Milliseconds))
            {
                Value = value;
                Milliseconds = milliseconds;
            }
        }
    }
}
