using GpuExternalScaler.Simulation.Kubernetes;
using static GpuExternalScaler.Simulation.Tests.Kubernetes.AutoscalerText;

namespace GpuExternalScaler.Simulation.Tests.Kubernetes;

/// <summary>
/// Worked out by hand from Kubernetes' rules. A first sync recommends what there is, so a row in which it shrinks at once has no window
/// for that. <see cref="AutoscalerText"/> says how rows are written.
/// </summary>
public class HorizontalPodAutoscalerTests
{
    // metrics, current, spec, wanted, why
    public static TheoryData<string, int, string, int, string> First() => new()
    {
        // AverageValue: ceil(value / target), unless value / (target x current) is within the tolerance.
        { "1000/100", 10, "", 10, "on target" },
        { "1100/100", 10, "", 10, "the upper edge of the tolerance belongs to it" },
        { "1100.001/100", 10, "", 12, "a thousandth past it: 11.00001, rounded up" },
        { "1101/100", 10, "", 12, "11.01, rounded up" },
        { "900/100", 10, "down-window:0", 10, "the lower edge belongs to it" },
        { "899.999/100", 10, "down-window:0", 9, "a thousandth below it: 8.99999, rounded up" },
        { "325/100", 3, "", 3, "1.083 is within, although 3.25 are needed" },
        { "330/100", 3, "", 3, "330 / 300 is 1.1" },
        { "331/100", 3, "", 4, "3.31" },
        { "270/100", 3, "down-window:0", 3, "270 / 300 is 0.9" },
        { "269/100", 3, "down-window:0", 3, "outside, but 2.69 are still 3" },
        { "199/100", 3, "down-window:0", 2, "1.99" },
        { "110/100", 1, "", 1, "the edge with one replica" },
        { "111/100", 1, "", 2, "past it" },
        { "0.01/100", 1, "", 1, "0.0001, rounded up" },
        { "1001/100", 10, "tolerance:0", 11, "without tolerance everything counts" },
        { "1190/100", 10, "tolerance:0.2", 10, "a wide tolerance" },

        // Thousandths.
        { "1000.0004/100", 10, "tolerance:0", 10, "rounds to 1000" },
        { "1000.0006/100", 10, "tolerance:0", 11, "rounds to 1000.001" },
        { "100/33.3334", 3, "tolerance:0", 4, "the target is 33.333, of which 100 are 3.00003" },

        // A tolerance for each direction.
        { "1050/100", 10, "up-tolerance:0.05", 10, "its edge" },
        { "1051/100", 10, "up-tolerance:0.05", 11, "past it" },
        { "1001/100", 10, "up-tolerance:0", 11, "none" },
        { "900/100", 10, "up-tolerance:0 down-window:0", 10, "that for shrinking is still 0.1" },
        { "800/100", 10, "down-tolerance:0.25 down-window:0", 10, "within that for shrinking" },
        { "749/100", 10, "down-tolerance:0.25 down-window:0", 8, "below it" },
        { "1100/100", 10, "down-tolerance:0.25", 10, "that for growing is still 0.1" },
        { "901/100", 10, "down-tolerance:0 down-window:0", 10, "9.01" },
        { "900/100", 10, "down-tolerance:0 down-window:0", 9, "9" },
        { "1040/100", 10, "up-tolerance:0.01 no-behavior", 10, "a tolerance is part of the behaviour" },

        // Zero, minimum, maximum.
        { "500/100", 0, "", 0, "switched off" },
        { "500/100", 0, "min:3", 0, "switched off, whatever the minimum" },
        { "0/100", 10, "", 10, "a new HPA remembers what there is" },
        { "0/100", 10, "down-window:0", 1, "the minimum" },
        { "0/100", 10, "down-window:0 min:3", 3, "a minimum" },
        { "5000/100", 10, "max:15", 15, "the maximum, nearer than the limit of 20" },
        { "1500/100", 15, "max:15", 15, "at the maximum" },
        { "1000/100", 50, "max:40", 40, "above the maximum: to it, whatever the metric" },
        { "?/100", 50, "max:40", 40, "for which no metric is needed" },
        { "0/100", 50, "max:40 down-window:0 down:1pods/15s", 40, "nor does a policy hold" },
        { "100000/100", 2, "min:5", 5, "below the minimum: to it, and no further at this sync" },
        { "?/100", 2, "min:5", 5, "without a metric" },

        // Huge.
        { "1e30/100", 10, "max:1000", 20, "as much as is allowed" },
        { "1e30/0.001", 10, "max:2147483647 up:2000000000pods/15s", 2000000010, "the largest 32-bit number, held back by the policy" },
        { "1e30/100", 10, "up:2147483647pods/15s", 10, "10 more than the largest 32-bit number is far below zero, and no growth" },
        { "1e30/100", 10, "up:2147483647%/15s", 100, "10 x 21474837.47 is none the worse" },
        { "-1e30/100", 10, "down-window:0", 1, "far below zero" },
        { "NaN/100", 10, "down-window:0", 10, "no number is no zero" },
        { "Infinity/100", 10, "", 10, "nor any other" },

        // The default limit of growth: double or 4 more.
        { "100000/100", 1, "", 5, "4 more" },
        { "100000/100", 4, "", 8, "4 more is double" },
        { "100000/100", 10, "", 20, "double" },
        { "1400/100", 10, "", 14, "less than the limit" },
        { "100000/100", 60, "", 100, "the maximum" },

        // Without any behaviour: double or 4.
        { "100000/100", 1, "no-behavior", 4, "4, and not 4 more" },
        { "100000/100", 2, "no-behavior", 4, "4 is double" },
        { "100000/100", 3, "no-behavior", 6, "double" },
        { "100000/100", 60, "no-behavior", 100, "the maximum" },
        { "100000/100", 10, "no-behavior up:1pods/15s", 20, "policies are part of the behaviour" },

        // Policies of growth.
        { "100000/100", 10, "up:5pods/60s", 15, "pods" },
        { "100000/100", 10, "up:50%/60s", 15, "percent" },
        { "100000/100", 11, "up:50%/60s", 17, "16.5, rounded up" },
        { "100000/100", 1, "up:10%/60s", 2, "1.1, rounded up, or it would never grow" },
        { "100000/100", 100, "up:10%/60s max:1000", 111, "in binary 100 x 1.1 is a hair above 110" },
        { "100000/100", 4, "up:5pods/60s,50%/60s", 9, "the larger: 9, not 6" },
        { "100000/100", 20, "up:5pods/60s,50%/60s", 30, "the larger: 30, not 25" },
        { "100000/100", 4, "up:5pods/60s,50%/60s up-select:min", 6, "the smaller" },
        { "100000/100", 20, "up:5pods/60s,50%/60s up-select:min", 25, "the smaller" },
        { "100000/100", 10, "up-select:disabled", 10, "no growth" },
        { "500/100", 10, "up-select:disabled down-window:0", 5, "which does not keep it from shrinking" },
        { "100000/100", 10, "up:", 10, "no policy allows nothing" },

        // Policies of shrinking.
        { "100/100", 10, "down-window:0", 1, "all at once by default" },
        { "100/100", 10, "down:2pods/60s down-window:0", 8, "pods" },
        { "100/100", 10, "down:20pods/60s down-window:0", 1, "more than there are" },
        { "100/100", 20, "down:10%/60s down-window:0", 18, "percent" },
        { "100/100", 5, "down:10%/60s down-window:0", 4, "4.5, cut off" },
        { "100/100", 20, "down:90%/60s down-window:0", 1, "in binary 1 - 0.9 is a hair below 0.1, and 1.9999 is cut off" },
        { "100/100", 10, "down:2pods/60s,50%/60s down-window:0", 5, "the larger change" },
        { "100/100", 10, "down:2pods/60s,50%/60s down-select:min down-window:0", 8, "the smaller change" },
        { "100/100", 10, "down-select:disabled down-window:0", 10, "no shrinking" },
        { "2000/100", 10, "down-select:disabled", 20, "which does not keep it from growing" },
        { "900/100", 12, "down:2pods/60s down-window:0", 10, "9 is further than is allowed" },
        { "900/100", 12, "down:4pods/60s down-window:0", 9, "and here it is not" },

        // Several metrics.
        { "500/100 1500/100", 10, "", 15, "the largest" },
        { "1500/100 500/100", 10, "", 15, "in any order" },
        { "1050/100 300/100", 10, "down-window:0", 10, "one on target speaks for what there is" },
        { "600/100 300/100", 10, "down-window:0", 6, "the largest of those that want less" },
        { "?/100 1500/100", 10, "", 15, "one that is missing does not keep it from growing" },
        { "1500/100 ?/100", 10, "", 15, "in any order" },
        { "?/100 500/100", 10, "down-window:0", 10, "but from shrinking" },
        { "0/100 ?/100", 10, "down-window:0", 10, "even where the other is zero" },
        { "?/100 1000/100", 10, "down-window:0", 10, "and no change is no change" },
        { "?/100 ?/100", 10, "down-window:0", 10, "none is known" },
        { "", 10, "down-window:0", 10, "there is none" },
        { "500/100 v15/10", 10, "", 15, "of both kinds" },
    };

    // metrics, current, ready, spec, wanted, why
    public static TheoryData<string, int, int, string, int, string> Readiness() => new()
    {
        { "v15/10", 10, 10, "", 15, "ratio x ready" },
        { "v11/10", 10, 10, "", 10, "the edge" },
        { "v11.001/10", 10, 10, "", 12, "past it: 11.001" },
        { "v9/10", 10, 10, "down-window:0", 10, "the other edge" },
        { "v8.9/10", 10, 10, "down-window:0", 9, "8.9" },
        { "v0/10", 10, 10, "down-window:0", 1, "zero" },
        { "v10/10", 10, 3, "down-window:0", 10, "on target it is what there is, ready or not" },
        { "v15/10", 10, 4, "down-window:0", 6, "half as much again of the 4 that are ready is fewer than there are" },
        { "v15/10", 10, 4, "", 10, "which the window prevents" },
        { "v30/10", 10, 4, "", 12, "3 x 4" },
        { "v1000/10", 5, 0, "down-window:0", 1, "none ready: 100 x 0" },
        { "v1000/10", 1, 0, "", 1, "it cannot leave the minimum until the first is ready" },
        { "v1e30/0.001", 10, 10, "", 20, "huge" },
        { "1500/100", 10, 0, "", 15, "AverageValue does not mind" },
        { "1500/100 v1000/10", 10, 0, "", 15, "the larger of the two" },
        { "v15/10", 0, 0, "", 0, "switched off" },
    };

    // history, at, metrics, current, spec, wanted, why
    public static TheoryData<string, int, string, int, string, int, string> Later() => new()
    {
        // Growth in a period.
        { "0s 1<-100000/100", 5, "100000/100", 5, "", 5, "the 4 of these 15 s are used up" },
        { "0s 1<-100000/100", 14, "100000/100", 5, "", 5, "still" },
        { "0s 1<-100000/100", 15, "100000/100", 5, "", 10, "a period later double is more than 4" },
        { "0s 10<-100000/100", 15, "100000/100", 15, "up:5pods/60s", 15, "a period longer than a sync" },
        { "0s 10<-100000/100", 59, "100000/100", 15, "up:5pods/60s", 15, "not yet over" },
        { "0s 10<-100000/100", 60, "100000/100", 15, "up:5pods/60s", 20, "over" },
        { "0s 10<-1300/100", 15, "100000/100", 13, "up:5pods/60s", 15, "3 of 5 are used up" },
        { "0s 10<-100000/100", 45, "100000/100", 20, "up:5pods/60s,10pods/30s", 30, "10 were added, the short period is over, and the larger counts" },
        { "0s 10<-100000/100", 45, "100000/100", 15, "up:5pods/60s,10pods/30s up-select:min", 15, "5 were added, the long period is not over, and the smaller counts" },
        { "0s 10<-100000/100", 30, "100000/100", 15, "up:50%/60s", 15, "percent of what there was, not of what was added too" },
        { "0s 10<-2000/100", 5, "5000/100", 12, "", 12, "made 12 by hand: less the 10 added it is 2, and a limit of 6 takes nothing away" },
        { "0s 10<-500/100", 10, "100000/100", 5, "down-window:0", 20, "double of the 10 before the 5 were taken" },
        { "0s 1<-100000/100", 5, "100000/100", 4, "no-behavior", 8, "without behaviour nothing is counted" },

        // Shrinking in a period.
        { "0s 10<-100/100", 30, "100/100", 8, "down:2pods/60s down-window:0", 8, "the 2 of this minute are used up" },
        { "0s 10<-100/100", 60, "100/100", 8, "down:2pods/60s down-window:0", 6, "a minute later" },
        { "0s 10<-1500/100", 15, "100/100", 15, "down:2pods/60s down-window:0", 8, "2 fewer than the 10 before 5 were added" },
        { "0s 10<-100/100", 30, "100/100", 5, "down:50%/60s down-window:0", 5, "half of 10, not of 5" },
        { "0s 50<-?/100", 5, "100/100", 40, "max:40 down:15pods/60s down-window:0", 35, "the 10 above the maximum count: 50 - 15" },
        { "0s 50<-?/100", 5, "100/100", 40, "max:40 down:5pods/60s down-window:0", 40, "a limit of 45 adds nothing" },
        { "0s 2<-?/100", 5, "100000/100", 5, "min:5 up:4pods/60s", 6, "the 3 below the minimum count: 2 + 4" },
        { "0s 10<-500/100; 100s 5<-300/100", 200, "100000/100", 3, "up:5pods/600s down-window:0", 10, "the 2 taken last took the place of the 5 before, which no period of shrinking looks at: 3 + 2 + 5" },
        { "0s 10<-500/100; 10s 5<-300/100", 200, "100000/100", 3, "up:5pods/600s down-window:0", 15, "here both are remembered: 3 + 7 + 5" },

        // The window of shrinking.
        { "0s 20<-2000/100; 15s 20<-500/100; 30s 20<-1200/100; 45s 20<-500/100", 59, "500/100", 20, "down-window:60", 20, "the largest of a minute" },
        { "0s 20<-2000/100; 15s 20<-500/100; 30s 20<-1200/100; 45s 20<-500/100", 60, "500/100", 20, "down-window:60", 12, "20 is a full minute old, 12 is not" },
        { "0s 20<-2000/100; 15s 20<-500/100; 30s 20<-1200/100; 45s 20<-500/100", 89, "500/100", 12, "down-window:60", 12, "12 is not yet" },
        { "0s 20<-2000/100; 15s 20<-500/100; 30s 20<-1200/100; 45s 20<-500/100", 90, "500/100", 12, "down-window:60", 5, "and now it is" },
        { "0s 10<-700/100", 299, "300/100", 10, "", 10, "300 s by default, beginning with what there was" },
        { "0s 10<-700/100", 300, "300/100", 10, "", 3, "all that is older is forgotten" },
        { "0s 10<-1000/100; 200s 10<-700/100", 310, "300/100", 10, "", 7, "7 of what is remembered" },
        { "0s 40<-9000/100", 15, "100/100", 40, "max:40", 40, "90 were recommended: never more than there is by stabilising" },
        { "0s 20<-2000/100", 3600, "300/100", 20, "down-window:3600", 3, "the longest window, just over" },
        { "0s 20<-2000/100", 3599, "300/100", 20, "down-window:3600", 20, "and just not" },
        { "0s 20<-1900/100; 15s 20<-500/100", 20, "500/100", 20, "down-window:10 up-window:300", 5, "the longer window of growing does not matter" },

        // What is not known is not remembered.
        { "0s 20<-2000/100; 150s 20<-?/100", 300, "300/100", 20, "", 3, "300 s without a value, and nothing holds it" },
        { "0s 10<-1000/100; 50s 10<-?/100 1000/100", 61, "300/100", 10, "down-window:60", 10, "one of two was known and spoke for 10" },
        { "0s 10<-1000/100; 50s 10<-?/100 300/100", 61, "300/100", 10, "down-window:60", 3, "one of two was known and was not followed" },
        { "0s 50<-1000/100", 5, "100/100", 40, "max:40 down-window:60", 40, "above the maximum nothing is recommended, but the first 50 hold" },
        { "0s 0<-", 5, "100/100", 3, "down-window:60", 1, "at zero nothing but the first is" },

        // The window of growing.
        { "", 0, "2000/100", 10, "up-window:60", 10, "a new HPA remembers what there is" },
        { "0s 10<-1000/100; 30s 10<-1500/100", 59, "1900/100", 10, "up-window:60", 10, "the smallest of a minute" },
        { "0s 10<-1000/100; 30s 10<-1500/100", 60, "1900/100", 10, "up-window:60", 15, "10 is a full minute old, 15 is not" },
        { "0s 10<-1000/100; 30s 10<-1500/100; 45s 10<-1050/100", 70, "1900/100", 10, "up-window:60", 10, "a dip into the tolerance begins it anew" },
        { "0s 10<-1000/100; 30s 10<-300/100", 70, "1900/100", 10, "up-window:60 down-window:60", 10, "3 of a moment ago takes nothing away either" },
        { "0s 0<-", 30, "500/100", 1, "up-window:60", 1, "an HPA that began at zero remembers that" },
        { "0s 10<-1000/100; 45s 10<-3000/100", 61, "5000/100", 10, "up-window:60", 20, "what comes out of the window is still limited" },
        { "0s 4<-100/100", 15, "600/100", 4, "", 6, "without a window the newest counts" },

        // Growing with larger recommendations remembered.
        { "0s 4<-2000/100", 15, "950/100", 8, "", 10, "the 20 of a moment ago are not made up for" },
        { "0s 4<-2000/100", 15, "950/100", 8, "no-behavior", 16, "without behaviour they are" },
        { "0s 20<-2000/100", 300, "100/100", 20, "no-behavior", 20, "without behaviour, too, what is exactly as old as the window holds" },
        { "0s 20<-2000/100", 301, "100/100", 20, "no-behavior", 1, "until a moment later" },
    };

    [Theory]
    [MemberData(nameof(First))]
    public void One_sync(string metrics, int current, string spec, int wanted, string why) =>
        new HorizontalPodAutoscaler(Spec(spec)).Sync(TimeSpan.Zero, current, current, Metrics(metrics)).Should().Be(wanted, why);

    [Theory]
    [MemberData(nameof(Readiness))]
    public void With_pods_that_are_not_ready(string metrics, int current, int ready, string spec, int wanted, string why) =>
        new HorizontalPodAutoscaler(Spec(spec)).Sync(TimeSpan.Zero, current, ready, Metrics(metrics)).Should().Be(wanted, why);

    [Theory]
    [MemberData(nameof(Later))]
    public void After_others(string history, int at, string metrics, int current, string spec, int wanted, string why)
    {
        var hpa = new HorizontalPodAutoscaler(Spec(spec));
        foreach (var earlier in History(history))
        {
            hpa.Sync(earlier.At, earlier.Current, earlier.Current, earlier.Metrics);
        }

        hpa.Sync(TimeSpan.FromSeconds(at), current, current, Metrics(metrics)).Should().Be(wanted, why);
    }

    [Fact]
    public void Growth_from_one_to_the_maximum_by_default()
    {
        var hpa = new HorizontalPodAutoscaler(new AutoscalerSpec());
        var replicas = 1;
        int[] steps = [5, 10, 20, 40, 80, 100, 100];
        for (var i = 0; i < steps.Length; i++)
        {
            replicas = hpa.Sync(TimeSpan.FromSeconds(15 * i), replicas, replicas, Metrics("100000/100"));
            replicas.Should().Be(steps[i]);
        }
    }

    [Theory]
    [InlineData("min:0")]
    [InlineData("min:5 max:4")]
    public void What_Kubernetes_refuses_is_refused(string spec) =>
        FluentActions.Invoking(() => new HorizontalPodAutoscaler(Spec(spec))).Should().Throw<ArgumentException>();

    [Theory]
    [InlineData(0)]
    [InlineData(0.0004)]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    public void A_target_must_be_above_zero(double target) =>
        FluentActions.Invoking(() => new HorizontalPodAutoscaler(new AutoscalerSpec()).Sync(TimeSpan.Zero, 1, 1, [new ExternalMetric(TargetType.AverageValue, 1, target)]))
            .Should().Throw<ArgumentException>();
}
