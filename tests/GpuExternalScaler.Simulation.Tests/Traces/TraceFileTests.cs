using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Tests.Traces;

public class TraceFileTests
{
    [Theory]
    [InlineData("", 1, "the file is empty")]
    [InlineData("0,7\n1,5\n", 1, "the header seconds,arrivals is missing")]
    [InlineData("time,count\n0,1\n", 1, "the header seconds,arrivals is missing")]
    [InlineData("seconds,arrivals\n", 1, "there is no row below the header")]
    [InlineData("seconds,arrivals\n0,7\n", 2, "one row does not tell how long its interval is")]
    [InlineData("seconds,arrivals\n0,7\n1\n", 3, "there must be two values with a comma between")]
    [InlineData("seconds,arrivals\n0,7\n1,2,3\n", 3, "there must be two values with a comma between")]
    [InlineData("seconds,arrivals\n0,seven\n1,5\n", 2, "arrivals must be a number")]
    [InlineData("seconds,arrivals\n0,NaN\n1,5\n", 2, "arrivals must be a number")]
    [InlineData("seconds,arrivals\n0,Infinity\n1,5\n", 2, "arrivals must be a number")]
    [InlineData("seconds,arrivals\n0,1e999\n1,5\n", 2, "arrivals must be a number")]
    [InlineData("seconds,arrivals\n0,\n1,5\n", 2, "arrivals must be a number")]
    [InlineData("seconds,arrivals\n0,7\nx,5\n", 3, "seconds must be a number")]
    [InlineData("seconds,arrivals\n0,-1\n1,5\n", 2, "arrivals must not be below zero")]
    [InlineData("seconds,arrivals\n-1,1\n0,5\n", 2, "seconds must not be below zero")]
    [InlineData("seconds,arrivals\n0,1\n0.5,5\n", 3, "seconds must be whole")]
    [InlineData("seconds,arrivals\n0,1\n1,5\n1,6\n", 4, "the same second as in the row before")]
    [InlineData("seconds,arrivals\n0,1\n2,5\n\n1,6\n", 5, "an earlier second than in the row before")]
    [InlineData("seconds,arrivals\n0,1\n99999999999,5\n", 3, "longer than 92 days")]
    [InlineData("seconds,arrivals\n0,1\n7948700,5\n", 3, "longer than 92 days")] // its last interval reaches beyond
    [InlineData("seconds,arrivals\n0,1\n1,1e12\n2,1\n", 3, "more than 1000000 arrivals in a second")]
    [InlineData("seconds,arrivals\n0,1\n1,1e12\n", 3, "more than 1000000 arrivals in a second")]
    public void Bad_input_is_refused_with_its_place(string text, int line, string why)
    {
        var read = () => Read(text);

        read.Should().Throw<FormatException>().WithMessage($"trace.csv, line {line}: {why}");
    }

    [Fact]
    public void Seconds_are_taken_as_they_are()
    {
        var trace = Read("\uFEFFseconds,arrivals\r\n 10 , 7 \r\n11,0\r\n12,5.5\r\n\r\n");

        trace.PerSecond.Should().Equal(7, 0, 5.5);
        trace.IsMeasured.Should().BeTrue();
        trace.Name.Should().Be("trace.csv");
    }

    [Fact]
    public void Longer_intervals_are_means()
    {
        var trace = Read("seconds,arrivals\n0,300\n300,300\n");

        trace.PerSecond.Should().HaveCount(600).And.OnlyContain(static messages => Math.Abs(messages - 1) < 1e-9);
        trace.IsMeasured.Should().BeFalse();
    }

    [Fact]
    public void A_row_that_is_left_out_makes_the_interval_before_it_longer()
    {
        var trace = Read("seconds,arrivals\n0,4\n1,4\n2,12\n5,4\n");

        trace.PerSecond.Should().HaveCount(8);
        trace.PerSecond.Take(2).Should().OnlyContain(static messages => Math.Abs(messages - 4) < 1e-9);
        trace.PerSecond.Skip(2).Take(3).Sum().Should().BeApproximately(12, 1e-9);
        trace.IsMeasured.Should().BeFalse();
    }

    [Fact]
    public void A_ramp_comes_out_as_a_ramp()
    {
        var trace = Read("seconds,arrivals\n" + string.Concat(Enumerable.Range(0, 10).Select(static i => $"{60 * i},{60 * (30 + (60 * i))}\n")));

        trace.PerSecond.Select(static (messages, second) => messages - (second + 0.5)).Should().OnlyContain(static off => Math.Abs(off) < 1e-6);
    }

    [Fact]
    public void Totals_are_kept_and_no_second_is_below_zero() => Check.One(
        Config.QuickThrowOnFailure,
        Prop.ForAll(Rows.ToArbitrary(), static rows =>
        {
            var trace = Read(rows);
            var second = 0;
            foreach (var (length, arrivals) in rows)
            {
                trace.PerSecond.Skip(second).Take(length).Sum().Should().BeApproximately(arrivals, 1e-6 * (1 + arrivals));
                second += length;
            }

            trace.PerSecond.Should().HaveCount(second).And.OnlyContain(static messages => messages >= 0);
        }));

    [Fact]
    public void Ends_of_intervals_leave_no_steps() => Check.One(
        Config.QuickThrowOnFailure,
        Prop.ForAll(Rows.ToArbitrary(), static rows =>
        {
            if (rows[0].Length == 1)
            {
                return;
            }

            // Within an interval of n seconds the cubic's slope changes by at most 6 times its mean and 4 times its neighbours' in n seconds.
            var (trace, second) = (Read(rows), 0);
            var most = rows.Max(static row => row.Arrivals / (double)row.Length) * 24 / rows.Min(static row => row.Length);
            foreach (var (length, _) in rows.SkipLast(1))
            {
                second += length;
                Math.Abs(trace.PerSecond[second] - trace.PerSecond[second - 1]).Should().BeLessThanOrEqualTo(most + 1e-9);
            }
        }));

    private static Gen<(int Length, int Arrivals)[]> Rows { get; } =
        from length in Gen.Elements(1, 2, 10, 60, 300)
        from irregular in Gen.Elements(false, true)
        from lengths in irregular ? Gen.NonEmptyListOf(Gen.Choose(1, 400)) : Gen.Choose(2, 30).Select(count => Enumerable.Repeat(length, count).ToList())
        from arrivals in Gen.ListOf(Gen.Frequency((1, Gen.Constant(0)), (3, Gen.Choose(0, 20)), (1, Gen.Choose(0, 5000))), lengths.Count + 1)
        let whole = lengths.Append(lengths[^1])
        select whole.Zip(arrivals).ToArray();

    private static ArrivalTrace Read(string text) => TraceFile.Read(new StringReader(text), "trace.csv");

    private static ArrivalTrace Read((int Length, int Arrivals)[] rows)
    {
        var second = 0;
        return Read("seconds,arrivals\n" + string.Concat(rows.Select(row =>
        {
            var line = $"{second},{row.Arrivals}\n";
            second += row.Length;
            return line;
        })));
    }
}
