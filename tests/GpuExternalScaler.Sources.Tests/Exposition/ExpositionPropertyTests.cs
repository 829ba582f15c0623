using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace GpuExternalScaler.Sources.Tests.Exposition;

public class ExpositionPropertyTests
{
    private static readonly byte[] Page = Encoding.UTF8.GetBytes("""
        # TYPE rabbitmq_detailed_queue_messages_ready gauge
        rabbitmq_detailed_queue_messages_ready{vhost="/",queue="a b/c%d+é"} 2
        rabbitmq_detailed_queue_messages_ready{vhost="gen ai",queue="q\"uo\\te\n2"} 17 1395066363000
        other{} NaN
        plain -1e+06

        """.ReplaceLineEndings("\n"));

    [Fact]
    public void Random_bytes_never_throw() => Prop
        .ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            _ = ExpositionReaderTests.ReadAll(bytes);
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(2000));

    [Fact]
    public void Mutated_pages_never_throw_and_lose_no_more_than_the_lines_touched()
    {
        var edits = (from position in Gen.Choose(0, Page.Length - 1)
                     from value in Gen.Choose(0, 255)
                     select (Position: position, Value: (byte)value)).ListOf();
        Prop.ForAll(edits.ToArbitrary(), list =>
        {
            var page = (byte[])Page.Clone();
            foreach (var (position, value) in list.Take(3))
            {
                page[position] = value;
            }

            var (samples, bad) = ExpositionReaderTests.ReadAll(page);

            // One changed byte can spoil its line, or, on a line feed, two lines.
            return samples.Count >= 4 - (2 * Math.Min(3, list.Count)) && samples.Count + bad <= 8;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    [Fact]
    public void Any_cut_leaves_whole_samples_only()
    {
        var (whole, _) = ExpositionReaderTests.ReadAll(Page);
        for (var length = 0; length <= Page.Length; length++)
        {
            var (samples, _) = ExpositionReaderTests.ReadAll(Page.AsSpan(0, length));
            samples.Should().Equal(whole.Take(samples.Count), "of the page cut at {0}", length);
        }
    }

    [Fact]
    public void Any_text_survives_as_a_label_value() => Prop
        .ForAll(ArbMap.Default.ArbFor<string>(), text =>
        {
            // Lone surrogates have no UTF-8 form.
            var value = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));
            var escaped = value
                .Replace("\\", "\\\\", StringComparison.Ordinal)
                .Replace("\"", "\\\"", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal);
            var (samples, bad) = ExpositionReaderTests.ReadAll(Encoding.UTF8.GetBytes($"m{{l=\"{escaped}\"}} 1\n"));
            return bad == 0 && samples.Count == 1 && samples[0] == $"m|l={value}|1";
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
}
