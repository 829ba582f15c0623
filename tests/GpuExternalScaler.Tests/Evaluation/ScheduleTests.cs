using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Evaluation;

namespace GpuExternalScaler.Tests.Evaluation;

public class ScheduleTests
{
    private const string Office = "0 8 * * 1-5 / 10h: 4";

    // 2026-11-23 is a Monday.
    [Theory]
    [InlineData("UTC", "2026-11-23 07:59", 0, 0)]
    [InlineData("UTC", "2026-11-23 08:00", 0, 4)]
    [InlineData("UTC", "2026-11-23 17:59", 0, 4)]
    [InlineData("UTC", "2026-11-23 18:00", 0, 0)] // the end does not count
    [InlineData("UTC", "2026-11-22 12:00", 0, 0)] // a Sunday
    [InlineData("UTC", "2026-11-23 07:58", 1, 0)]
    [InlineData("UTC", "2026-11-23 07:59", 1, 4)] // ready when it begins
    [InlineData("UTC", "2026-11-20 20:00", 60, 0)]
    [InlineData("Europe/Berlin", "2026-11-23 06:59", 0, 0)]
    [InlineData("Europe/Berlin", "2026-11-23 07:00", 0, 4)]
    [InlineData("America/New_York", "2026-11-23 12:59", 0, 0)]
    [InlineData("America/New_York", "2026-11-23 13:00", 0, 4)]
    [InlineData("America/New_York", "2026-07-06 12:00", 0, 4)] // summer
    [InlineData("Asia/Kolkata", "2026-11-23 02:30", 0, 4)] // half hours
    public void A_window_counts_from_one_cold_start_before_it_begins_to_its_end(string zone, string now, int minutesAhead, int replicas)
    {
        Demand(Office, zone, now, minutesAhead).Should().Be(replicas);
    }

    [Theory]
    [InlineData("0 22 * * * / 8h: 3", "2026-11-23 23:59", 3)] // across midnight
    [InlineData("0 22 * * * / 8h: 3", "2026-11-24 05:59", 3)]
    [InlineData("0 22 * * * / 8h: 3", "2026-11-24 06:00", 0)]
    [InlineData("0 22 * * 5 / 8h: 3", "2026-11-28 05:00", 3)] // Friday's goes on into Saturday
    [InlineData("0 * * * * / 90m: 2", "2026-11-24 06:59", 2)] // longer than its period: always
    [InlineData("0 0 * * 1 / 336h: 2", "2026-11-26 00:00", 2)]
    [InlineData("0 0 1 1 * / 8784h: 1", "2026-11-26 00:00", 1)]
    [InlineData("0 0 29 2 * / 24h: 9", "2028-02-29 12:00", 9)]
    [InlineData("0 0 29 2 * / 24h: 9", "2027-03-01 12:00", 0)]
    [InlineData("0 8 * * * / 4h: 2; 0 10 * * * / 4h: 5; 0 11 * * * / 30m: 3", "2026-11-23 09:59", 2)] // overlapping: the largest
    [InlineData("0 8 * * * / 4h: 2; 0 10 * * * / 4h: 5; 0 11 * * * / 30m: 3", "2026-11-23 11:15", 5)]
    [InlineData("0 8 * * * / 4h: 2; 0 10 * * * / 4h: 5; 0 11 * * * / 30m: 3", "2026-11-23 13:59", 5)]
    [InlineData("0 8 L * * / 1h: 2", "2026-11-30 08:30", 2)]
    [InlineData("0 8 * * 5#2 / 1h: 2", "2026-11-13 08:30", 2)]
    [InlineData("0 8 * * 5#2 / 1h: 2", "2026-11-20 08:30", 0)]
    public void Of_windows_that_are_open_the_largest_counts(string schedule, string now, int replicas)
    {
        Demand(schedule, "UTC", now).Should().Be(replicas);
    }

    // Clocks in Berlin go from 02:00 to 03:00 on 2026-03-29 (01:00 UTC) and from 03:00 to 02:00 on 2026-10-25 (01:00 UTC);
    // in New York on 2026-03-08 (07:00 UTC) and 2026-11-01 (06:00 UTC).
    [Theory]
    [InlineData("30 2 * * * / 30m: 2", "Europe/Berlin", "2026-03-29 00:59", 0)]
    [InlineData("30 2 * * * / 30m: 2", "Europe/Berlin", "2026-03-29 01:00", 2)] // left out: begins right after
    [InlineData("30 2 * * * / 30m: 2", "Europe/Berlin", "2026-03-29 01:30", 0)]
    [InlineData("30 2 * * * / 30m: 2", "Europe/Berlin", "2026-10-25 00:30", 2)] // comes twice: the first time
    [InlineData("30 2 * * * / 30m: 2", "Europe/Berlin", "2026-10-25 01:30", 0)]
    [InlineData("*/30 * * * * / 1m: 2", "Europe/Berlin", "2026-10-25 01:30", 2)] // every so many minutes: both times
    [InlineData("30 2 * * * / 30m: 2", "America/New_York", "2026-03-08 07:00", 2)]
    [InlineData("30 1 * * * / 30m: 2", "America/New_York", "2026-11-01 05:30", 2)]
    [InlineData("30 1 * * * / 30m: 2", "America/New_York", "2026-11-01 06:30", 0)]
    [InlineData("0 22 * * * / 8h: 2", "Europe/Berlin", "2026-03-29 04:59", 2)] // eight hours that pass: until 07:00 on the clock
    [InlineData("0 22 * * * / 8h: 2", "Europe/Berlin", "2026-03-29 05:00", 0)]
    [InlineData("0 22 * * * / 8h: 2", "Europe/Berlin", "2026-10-25 03:59", 2)] // until 05:00 on the clock
    [InlineData("0 22 * * * / 8h: 2", "Europe/Berlin", "2026-10-25 04:00", 0)]
    public void Clocks_that_change_move_the_beginning_and_not_the_length(string schedule, string zone, string now, int replicas)
    {
        Demand(schedule, zone, now).Should().Be(replicas);
    }

    [Fact]
    public void An_answer_stays_the_same_until_the_moment_it_names()
    {
        string[] crons = ["0 8 * * 1-5", "*/20 * * * *", "30 2 * * *", "0 0 1 * *", "15,45 6-9 * * 6"];
        var window = Gen.Elements(crons).Zip(Gen.Choose(1, 3000)).Zip(Gen.Choose(1, 9)).Select(static one => $"{one.Item1.Item1} / {one.Item1.Item2}m: {one.Item2}");
        var schedules = Gen.Choose(1, 3).SelectMany(count => window.ArrayOf(count)).Select(static windows => string.Join(';', windows));
        var moments = Gen.Choose(0, 525_600).Zip(Gen.Choose(0, 600));

        Prop.ForAll(schedules.ToArbitrary(), moments.ToArbitrary(), Gen.Elements("UTC", "Europe/Berlin", "America/New_York").ToArbitrary(), static (text, moment, name) =>
        {
            var (schedule, zone) = (Parse(text), TimeZoneInfo.FindSystemTimeZoneById(name));
            var now = At("2026-01-01 00:00") + TimeSpan.FromMinutes(moment.Item1);
            var ahead = TimeSpan.FromMinutes(moment.Item2);

            var (replicas, until) = schedule.Demand(now, ahead, zone);

            until.Should().BeAfter(now);
            for (var part = 0.0; part < 1; part += 0.09)
            {
                schedule.Demand(now + (part * (until - now)), ahead, zone).Replicas.Should().Be(replicas);
            }

            // What is open at any time until then.
            var most = Enumerable.Range(0, moment.Item2 + 1).Max(minute => schedule.Demand(now + TimeSpan.FromMinutes(minute), TimeSpan.Zero, zone).Replicas);
            replicas.Should().Be(most);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Text_of_any_kind_is_read_or_refused_with_a_sentence_and_reads_back_as_the_same()
    {
        var part = Gen.Elements("0 8 * * 1-5", "H", "* * * * *", "/", ":", ";", "\n", "10h", "4", "-1", "JAN", "L", "W", "#", "?", " ", "@daily", "9999999999", "1e9", "\0", "é", "0 0 31 2 *", "🦊");

        Prop.ForAll(Gen.Choose(0, 9).SelectMany(count => part.ArrayOf(count)).Select(static parts => string.Concat(parts)).ToArbitrary(), static text =>
        {
            if (Schedule.TryParse(text, out var schedule, out var problem))
            {
                Schedule.TryParse(schedule!.ToString(), out var again, out _).Should().BeTrue();
                again!.ToString().Should().Be(schedule.ToString());
            }
            else
            {
                problem.Should().MatchRegex("^(must|has a mistake in its window [0-9]+: it must) ");
            }
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("", "must have a window, such as 0 8 * * 1-5 / 10h: 4")]
    [InlineData(" ; \n;", "must have a window, such as 0 8 * * 1-5 / 10h: 4")]
    public void Nothing_is_no_schedule(string text, string problem)
    {
        Schedule.TryParse(text, out _, out var said).Should().BeFalse();
        said.Should().Be(problem);
    }

    [Fact]
    public void A_schedule_is_bounded()
    {
        Schedule.TryParse(string.Join(';', Enumerable.Repeat(Office, 100)), out _, out _).Should().BeTrue();
        Schedule.TryParse(string.Join(';', Enumerable.Repeat(Office, 101)), out _, out var many).Should().BeFalse();
        many.Should().Be("must have at most 100 windows");
        Schedule.TryParse(new string('x', 5000), out _, out var longest).Should().BeFalse();
        longest.Should().Be("must have at most 4096 characters");
    }

    private static int Demand(string schedule, string zone, string now, int minutesAhead = 0) =>
        Parse(schedule).Demand(At(now), TimeSpan.FromMinutes(minutesAhead), TimeZoneInfo.FindSystemTimeZoneById(zone)).Replicas;

    private static Schedule Parse(string text)
    {
        Schedule.TryParse(text, out var schedule, out _).Should().BeTrue();
        return schedule!;
    }

    private static DateTimeOffset At(string utc) => DateTimeOffset.Parse(utc + "Z", System.Globalization.CultureInfo.InvariantCulture);
}
