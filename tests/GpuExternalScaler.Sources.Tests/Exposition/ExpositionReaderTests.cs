using System.Globalization;
using System.Text;
using GpuExternalScaler.Sources.Exposition;

namespace GpuExternalScaler.Sources.Tests.Exposition;

public class ExpositionReaderTests
{
    [Theory]
    [InlineData("up 1\n", "up|1")]
    [InlineData("up{} 1\n", "up|1")]
    [InlineData("a{b=\"c\"} 2\n", "a|b=c|2")]
    [InlineData("a{b=\"c\",d=\"e\",} 2.5\n", "a|b=c|d=e|2.5")]
    [InlineData("a { b = \"c\" , d=\"e\" } 2 1395066363000\n", "a|b=c|d=e|2|@1395066363000")]
    [InlineData("a\t3\r\n", "a|3")]
    [InlineData("  a 3  \n", "a|3")]
    [InlineData("a{b=\"} \"} 1\n", "a|b=} |1")]
    [InlineData("a{b=\"\"} 1e+06\n", "a|b=|1000000")]
    [InlineData("a -1.5e-3\n", "a|-0.0015")]
    [InlineData("a 9007199254740993\n", "a|9007199254740992")]
    [InlineData("a +Inf\na -inf\na NaN\na Infinity\n", "a|Infinity", "a|-Infinity", "a|NaN", "a|Infinity")]
    [InlineData("# HELP a b{c\n# TYPE a counter\n\na 1\n", "a|1")]
    [InlineData("a_bucket{le=\"+Inf\"} 3 # {trace=\"x\"} 0.5\n", "a_bucket|le=+Inf|3")]
    [InlineData("\uFEFFa 1\n", "a|1")]
    public void Reads_samples(string page, params string[] expected)
    {
        var (samples, bad) = ReadAll(Encoding.UTF8.GetBytes(page));
        samples.Should().Equal(expected);
        bad.Should().Be(0);
    }

    [Theory]
    [InlineData("a ERROR - FAILED TO CONVERT TO STRING\n")]
    [InlineData("a\n")]
    [InlineData("a \n")]
    [InlineData("a 1 2 3\n")]
    [InlineData("a 1 x\n")]
    [InlineData("a 0x10\n")]
    [InlineData("a 1,000\n")]
    [InlineData("a +\n")]
    [InlineData("a ∞\n")]
    [InlineData("1a 1\n")]
    [InlineData("{a=\"b\"} 1\n")]
    [InlineData("a{b=\"c\" 1\n")]
    [InlineData("a{b=\"c} 1\n")]
    [InlineData("a{b=c} 1\n")]
    [InlineData("a{b=\"c\\\n")]
    [InlineData("a{,} 1\n")]
    [InlineData("a{b=\"c\",,} 1\n")]
    [InlineData("a{b=\"c\"d=\"e\"} 1\n")]
    [InlineData("<html><body>500</body></html>\n")]
    public void T16_a_line_that_is_no_sample_is_lost_and_counted_and_not_the_page(string line)
    {
        var (samples, bad) = ReadAll(Encoding.UTF8.GetBytes($"before 1\n{line}after 2\n"));
        samples.Should().Equal("before|1", "after|2");
        bad.Should().Be(1);
    }

    [Fact]
    public void A_last_line_without_its_line_feed_may_be_half_a_number_and_is_lost()
    {
        var (samples, bad) = ReadAll("a 1\nb 12"u8);
        samples.Should().Equal("a|1");
        bad.Should().Be(1);
    }

    [Theory]
    [InlineData(@"a b/c%d+é", "a b/c%d+é")]
    [InlineData(@"q\""uo\\te\n2", "q\"uo\\te\n2")]
    [InlineData(@"tail\\", @"tail\")]
    [InlineData(@"unknown\t", @"unknown\t")]
    [InlineData(@"日本語 🐇 ,={}", "日本語 🐇 ,={}")]
    public void Label_values_are_unescaped_UTF8(string onPage, string value)
    {
        var (samples, _) = ReadAll(Encoding.UTF8.GetBytes($"a{{queue=\"{onPage}\"}} 1\n"));
        samples.Should().Equal($"a|queue={value}|1");

        var reader = new ExpositionReader(Encoding.UTF8.GetBytes($"a{{vhost=\"/\",queue=\"{onPage}\"}} 1\n"));
        reader.Read().Should().BeTrue();
        reader.Labels.TryGet("queue"u8, out var text).Should().BeTrue();
        text.Equals(Encoding.UTF8.GetBytes(value)).Should().BeTrue();
        reader.Labels.TryGet("que"u8, out _).Should().BeFalse();
    }

    [Fact]
    public void Reading_allocates_nothing()
    {
        var page = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 1000).Select(i => $"m{{vhost=\"/\",queue=\"q{i}\"}} {i}\n")));
        _ = Sum(page);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var sum = Sum(page);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);
        sum.Should().Be(499_500);
    }

    private static double Sum(byte[] page)
    {
        var reader = new ExpositionReader(page);
        double sum = 0;
        while (reader.Read())
        {
            sum += reader.Labels.TryGet("queue"u8, out _) ? reader.Value : 0;
        }

        return sum;
    }

    internal static (List<string> Samples, int Bad) ReadAll(ReadOnlySpan<byte> page)
    {
        var samples = new List<string>();
        var reader = new ExpositionReader(page);
        while (reader.Read())
        {
            var text = new StringBuilder(Encoding.UTF8.GetString(reader.Name));
            foreach (var label in reader.Labels)
            {
                text.Append('|').Append(Encoding.UTF8.GetString(label.Name)).Append('=').Append(label.Value.ToString());
            }

            text.Append('|').Append(reader.Value.ToString(CultureInfo.InvariantCulture));
            if (reader.TimestampMilliseconds is { } timestamp)
            {
                text.Append("|@").Append(timestamp);
            }

            samples.Add(text.ToString());
        }

        reader.Samples.Should().Be(samples.Count);
        return (samples, reader.BadLines);
    }
}
