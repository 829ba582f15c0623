using System.Buffers;
using System.Globalization;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>
/// Writes metric families as Prometheus text 0.0.4 or OpenMetrics 1.0.0, in UTF-8 and without allocating per sample.
/// </summary>
/// <remarks>
/// <see cref="Begin"/> a family, write its samples, begin the next; a family's samples must stay together, so a caller
/// with many workloads loops over families outside and workloads inside. A family without samples leaves no trace.
/// Two samples of a family with the same labels make a server reject the whole page; the writer does not look for them.
/// Not safe for concurrent use.
/// </remarks>
internal sealed class PrometheusTextWriter(IBufferWriter<byte> output, ExpositionFormat format = ExpositionFormat.PrometheusText)
{
    // The longest shortest-round-trip double is 24 characters (-1.7976931348623157E+308); a long has 20.
    private const int MaxNumberBytes = 26;

    // Beyond it, not every integer is a double; below, an integer's shortest form is its decimal digits.
    private const double MaxExactInteger = 9_007_199_254_740_992;

    private readonly HashSet<string> _begun = new(StringComparer.Ordinal);
    private MetricFamily? _family;
    private bool _headerPending;

    /// <summary>Which of the two texts is written.</summary>
    public ExpositionFormat Format { get; } = format;

    /// <summary>Starts a family. Its header is written with its first sample.</summary>
    /// <exception cref="InvalidOperationException">A family of this name was begun before: it would be declared twice.</exception>
    public void Begin(MetricFamily family)
    {
        if (!_begun.Add(family.Name))
        {
            throw new InvalidOperationException($"The family '{family.Name}' is already on the page.");
        }

        _family = family;
        _headerPending = true;
    }

    /// <summary>Whether a family of this name was begun on this page.</summary>
    public bool HasBegun(string familyName) => _begun.Contains(familyName);

    /// <summary>A counter's or gauge's sample without labels.</summary>
    public void Sample(double value) => Sample(value, default(LabelSet), default(LabelSet));

    /// <summary>A counter's or gauge's sample with labels made beforehand: the way for per-workload series.</summary>
    public void Sample(double value, LabelSet labels) => Sample(value, labels, default(LabelSet));

    /// <summary>
    /// A sample with two sets of labels, the second often shared between workloads (a state's name). They must not
    /// have a name in common.
    /// </summary>
    public void Sample(double value, LabelSet labels, LabelSet more)
    {
        var family = CurrentFamily(histogram: false);
        var line = output.GetSpan(family.SampleName.Length + labels.Text.Length + more.Text.Length + "{,} \n".Length + MaxNumberBytes);
        var length = Append(line, 0, family.SampleName);
        length = AppendLabels(line, length, labels.Text, more.Text);
        EndLine(line, length, value);
    }

    /// <summary>A sample whose labels are escaped straight into the page.</summary>
    public void Sample(double value, params ReadOnlySpan<MetricLabel> labels)
    {
        var family = CurrentFamily(histogram: false);
        var line = output.GetSpan(family.SampleName.Length + LabelText.MaxBytes(labels) + "{} \n".Length + MaxNumberBytes);
        var length = Append(line, 0, family.SampleName);
        if (!labels.IsEmpty)
        {
            line[length++] = (byte)'{';
            length += LabelText.Write(labels, line[length..]);
            line[length++] = (byte)'}';
        }

        EndLine(line, length, value);
    }

    /// <summary>One histogram: its buckets cumulatively, <c>+Inf</c> included, then sum and count.</summary>
    /// <param name="labels">Labels of the histogram, without <c>le</c>.</param>
    /// <param name="upperBounds">Inclusive upper bounds, finite and ascending, without +Inf.</param>
    /// <param name="bucketCounts">Observations in each bucket alone, and last those above the highest bound.</param>
    /// <param name="sum">Sum of all observations.</param>
    public void Histogram(LabelSet labels, ReadOnlySpan<double> upperBounds, ReadOnlySpan<long> bucketCounts, double sum)
    {
        if (bucketCounts.Length != upperBounds.Length + 1)
        {
            throw new ArgumentException("There is one count for each bound, and one for what lies above.", nameof(bucketCounts));
        }

        var previous = double.NegativeInfinity;
        foreach (var bound in upperBounds)
        {
            if (!double.IsFinite(bound) || bound <= previous)
            {
                throw new ArgumentException("Bounds are finite and ascend.", nameof(upperBounds));
            }

            previous = bound;
        }

        var family = CurrentFamily(histogram: true);
        long cumulative = 0;
        for (var i = 0; i < bucketCounts.Length; i++)
        {
            cumulative += bucketCounts[i];
            BucketLine(family, labels, i < upperBounds.Length ? upperBounds[i] : double.PositiveInfinity, cumulative);
        }

        // OpenMetrics: with negative bounds the sum may fall, so neither it nor the count, which goes with it, is written.
        if (Format is ExpositionFormat.OpenMetrics && !upperBounds.IsEmpty && upperBounds[0] < 0)
        {
            return;
        }

        EndLine(PartLine(family, "_sum"u8, labels, out var length), length, sum);
        EndLine(PartLine(family, "_count"u8, labels, out length), length, cumulative);
    }

    /// <summary>Ends the page: OpenMetrics tells a truncated page from a whole one by <c># EOF</c>.</summary>
    public void Complete()
    {
        _family = null;
        if (Format is ExpositionFormat.OpenMetrics)
        {
            output.Write("# EOF\n"u8);
        }
    }

    private static int Append(Span<byte> line, int length, ReadOnlySpan<byte> text)
    {
        text.CopyTo(line[length..]);
        return length + text.Length;
    }

    private static int AppendLabels(Span<byte> line, int length, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        if (first.IsEmpty && second.IsEmpty)
        {
            return length;
        }

        line[length++] = (byte)'{';
        length = Append(line, length, first);
        if (!first.IsEmpty && !second.IsEmpty)
        {
            line[length++] = (byte)',';
        }

        length = Append(line, length, second);
        line[length++] = (byte)'}';
        return length;
    }

    private static int AppendNumber(Span<byte> line, int length, double value)
    {
        // Most values are small integers, and those are formatted several times faster as such. Not -0, which keeps its sign.
        if (Math.Abs(value) < MaxExactInteger && value == Math.Truncate(value) && !(value == 0 && double.IsNegative(value)))
        {
            return AppendNumber(line, length, (long)value);
        }

        if (double.IsFinite(value))
        {
            // The default format is the shortest that reads back as the same number.
            _ = value.TryFormat(line[length..], out var written, default, CultureInfo.InvariantCulture);
            return length + written;
        }

        return Append(line, length, double.IsNaN(value) ? "NaN"u8 : value > 0 ? "+Inf"u8 : "-Inf"u8);
    }

    private static int AppendNumber(Span<byte> line, int length, long value)
    {
        _ = value.TryFormat(line[length..], out var written, default, CultureInfo.InvariantCulture);
        return length + written;
    }

    private MetricFamily CurrentFamily(bool histogram)
    {
        var family = _family ?? throw new InvalidOperationException("No family has been begun.");
        if (histogram != (family.Type is MetricFamilyType.Histogram))
        {
            throw new InvalidOperationException($"The family '{family.Name}' is a {family.Type}.");
        }

        if (_headerPending)
        {
            _headerPending = false;
            output.Write(family.HeaderFor(Format));
        }

        return family;
    }

    private Span<byte> PartLine(MetricFamily family, ReadOnlySpan<byte> suffix, LabelSet labels, out int length)
    {
        var line = output.GetSpan(family.SampleName.Length + suffix.Length + labels.Text.Length + "{} \n".Length + MaxNumberBytes);
        length = Append(line, 0, family.SampleName);
        length = Append(line, length, suffix);
        length = AppendLabels(line, length, labels.Text, default);
        return line;
    }

    private void BucketLine(MetricFamily family, LabelSet labels, double upperBound, long count)
    {
        var line = output.GetSpan(
            family.SampleName.Length + "_bucket{,le=\".0\"} \n".Length + labels.Text.Length + (2 * MaxNumberBytes));
        var length = Append(line, 0, family.SampleName);
        length = Append(line, length, "_bucket{"u8);
        length = Append(line, length, labels.Text);
        length = Append(line, length, labels.Text.IsEmpty ? "le=\""u8 : ",le=\""u8);
        var start = length;
        length = AppendNumber(line, length, upperBound);
        // Bounds are matched as text. OpenMetrics fixes their form (1.0, not 1), and Prometheus 3 stores both as that.
        if (Format is ExpositionFormat.OpenMetrics && double.IsFinite(upperBound) && !line[start..length].ContainsAny(".E"u8))
        {
            length = Append(line, length, ".0"u8);
        }

        length = Append(line, length, "\"}"u8);
        EndLine(line, length, count);
    }

    private void EndLine(Span<byte> line, int length, double value)
    {
        line[length++] = (byte)' ';
        length = AppendNumber(line, length, value);
        line[length++] = (byte)'\n';
        output.Advance(length);
    }

    private void EndLine(Span<byte> line, int length, long value)
    {
        line[length++] = (byte)' ';
        length = AppendNumber(line, length, value);
        line[length++] = (byte)'\n';
        output.Advance(length);
    }
}
