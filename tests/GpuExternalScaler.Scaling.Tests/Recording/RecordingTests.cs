using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Scaling.Recording;
using GpuExternalScaler.Scaling.Tests.Deciding;

namespace GpuExternalScaler.Scaling.Tests.Recording;

public sealed class RecordingTests
{
    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(100);
    private static readonly Arbitrary<int> Seeds = Arb.From(Gen.Choose(0, int.MaxValue - 10));

    [Fact]
    public void What_was_recorded_replays_to_the_same_decisions() => Prop.ForAll(Seeds, seed =>
    {
        List<ScalingDecision> decided = [], replayed = [];
        var run = new RecordedRun();
        for (var i = 0; i < 3; i++)
        {
            RecordedRun.Walk(seed + i, 60, (WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now) =>
            {
                var decision = run.Step(state, snapshot, policy, now);
                decided.Add(decision);
                return decision;
            });
        }

        var report = Replay(run.ToArray(), step => replayed.Add(step.Decision!.Value));

        replayed.Should().Equal(decided);
        report.IsIdentical.Should().BeTrue();
        report.Workloads.Should().HaveCount(3).And.NotContain(static workload => workload.IsPartlyCompared);
        report.Steps.Should().Be(decided.Count);
        report.CutOff.Should().Be(0);
    }).Check(Quick);

    [Theory]
    [InlineData(4)]
    [InlineData(7)]
    public void Frames_larger_than_any_buffer_are_read_too(int seed)
    {
        var report = Replay(RecordedRun.OfRandom(seed, workloads: 1, steps: 20_000, flushes: false));

        report.Steps.Should().Be(20_000);
        report.IsIdentical.Should().BeTrue();
    }

    [Fact]
    public void Interrupts_and_other_policies_are_part_of_it() => Prop.ForAll(Seeds, seed =>
    {
        var random = new Random(seed);
        var run = new RecordedRun();
        var fleet = new Fleet { Stepper = run.Step };
        for (var i = 0; i < 200; i++)
        {
            fleet.Queue(random.Next(20), random.Next(4), 4).Servers(4, random.Next(3), random.Next(9), 0.4).Pods(4, random.NextDouble(), 0.5);
            fleet.Step();
            if (random.Next(10) == 0)
            {
                run.Interrupt(fleet.State, fleet.Now);
            }

            if (random.Next(10) == 0)
            {
                fleet.Policy = fleet.Policy with { Share = random.NextDouble(), Query = $"{i}", LatencyQuery = random.Next(2) == 0 ? null : "p99", LatencyObjective = TimeSpan.FromSeconds(1) };
            }

            if (random.Next(40) == 0)
            {
                run.End(fleet.State, fleet.Now);
            }

            if (random.Next(40) == 0)
            {
                run.NextSegment();
            }

            fleet.After(1 + random.Next(9));
        }

        var report = Replay(run.ToArray());
        report.IsIdentical.Should().BeTrue();
        report.Steps.Should().Be(200);
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(30));

    [Fact]
    public void Another_decision_is_found_at_its_first_step()
    {
        // What is not in the readings cannot be replayed: as if the program had been another one then.
        var step = 0;
        var run = new RecordedRun();
        var workload = new Workload
        {
            Stepper = (WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now) =>
            {
                if (++step == 30)
                {
                    state.Interrupt();
                }

                return run.Step(state, snapshot, policy, now);
            },
        };
        workload.Queue(ready: 0, unacked: 6, consumers: 10).Run(20);
        workload.Queue(ready: 0, unacked: 0, consumers: 10).Run(40);

        var report = Replay(run.ToArray());

        report.IsIdentical.Should().BeFalse();
        var replay = report.Workloads.Should().ContainSingle().Subject;
        replay.OtherAnswers.Should().BePositive();
        var first = replay.FirstDifference!.Value;
        first.Verdict.Should().Be(ReplayVerdict.OtherAnswer);
        first.Recorded.Reason.Should().Be("recovering");
        first.Recorded.Value.Should().BeGreaterThan(first.Decision!.Value.Value);
    }

    [Fact]
    public void A_figure_that_differs_behind_the_same_answer_is_found()
    {
        var run = new RecordedRun();
        var workload = new Workload
        {
            Stepper = (WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now) => run.Step(state, snapshot, policy, now),
        };
        workload.Queue(ready: 0, unacked: 6, consumers: 10).Run(20);
        workload.State.History.KnownPrefetch = 1_000;
        workload.Run(20);

        var replay = Replay(run.ToArray()).Workloads.Single();

        replay.OtherAnswers.Should().Be(0);
        replay.FirstDifference!.Value.Verdict.Should().Be(ReplayVerdict.OtherFigures);
    }

    [Fact]
    public void A_step_that_threw_is_replayed_up_to_there()
    {
        var run = new RecordedRun();
        var workload = new Workload { Stepper = run.Step };
        workload.Queue(ready: 0, unacked: 6, consumers: 10).Step();
        run.Throw(workload.State, new WorkloadSnapshot { Queues = workload.Readings() }, workload.Policy, workload.Now);

        var steps = new List<ReplayedStep>();
        Replay(run.ToArray(), steps.Add);

        steps.Should().HaveCount(2);
        steps[1].Recorded.Threw.Should().BeTrue();
        steps[1].Verdict.Should().Be(ReplayVerdict.OtherAnswer, "it no longer throws");
    }

    [Fact]
    public void A_recording_of_another_program_with_other_reasons_and_figures_is_compared_as_far_as_it_can_be()
    {
        var recording = RecordedRun.OfRandom(4, workloads: 1, flushes: false);

        // The figures of a decision have other names in the file: as if they were gone.
        var other = Rewritten(recording, "BusyAverage", "BusyEverage");

        var report = Replay(other);
        report.IsIdentical.Should().BeTrue();
        report.Workloads.Should().ContainSingle().Which.IsPartlyCompared.Should().BeTrue();
    }

    [Fact]
    public void Two_columns_of_one_name_are_refused()
    {
        var other = Rewritten(RecordedRun.OfRandom(4, workloads: 1, flushes: false), "WaitingAtColdStart", "SaturationReplicas");

        FluentActions.Invoking(() => Replay(other)).Should().Throw<InvalidDataException>().WithMessage("*two columns of one name*");
    }

    [Fact]
    public void A_recording_that_ends_anywhere_is_read_up_to_there()
    {
        var whole = RecordedRun.OfRandom(6, workloads: 2, steps: 12);
        var steps = Replay(whole).Steps;
        long before = 0;
        for (var length = 8; length < whole.Length; length++)
        {
            var report = Replay(whole[..length]);

            report.IsIdentical.Should().BeTrue();
            report.Steps.Should().BeInRange(before, steps);
            (Recordings.WholeLength(new MemoryStream(whole[..length])) + report.CutOff).Should().Be(length);
            before = report.Steps;
        }

        before.Should().BeGreaterThan(steps / 2);
        for (var length = 0; length < 8; length++)
        {
            FluentActions.Invoking(() => Replay(whole[..length])).Should().Throw<InvalidDataException>();
            Recordings.WholeLength(new MemoryStream(whole[..length])).Should().BeNull();
        }
    }

    [Fact]
    public void After_a_cut_the_next_segment_goes_on()
    {
        var first = RecordedRun.OfRandom(6, workloads: 1, steps: 12);
        var stream = new MemoryStream();
        stream.Write(first.AsSpan(0, first.Length - 3));
        var whole = Recordings.WholeLength(stream)!.Value;
        stream.SetLength(whole);
        stream.Position = whole;
        using var writer = new RecordingWriter(stream);
        var encoder = new RecordingEncoder("later");
        writer.BeginSegment(encoder.Header.Span, continues: true);
        var workload = new Workload();
        workload.Queue(1, 1, 1);
        var recorded = encoder.Begin(new RecordedName("a", "b", ""), workload.State, workload.Policy, workload.Now);
        encoder.Step(recorded, new WorkloadSnapshot { Queues = workload.Readings() }, workload.Policy, workload.Now, workload.Step());
        writer.Write(encoder.Take() is var (bytes, length) ? bytes.AsSpan(0, length) : default);

        var report = Replay(stream.ToArray());

        report.IsIdentical.Should().BeTrue();
        report.Segments.Should().Be(2);
        report.Products.Should().Equal("test", "later");
        report.Workloads.Should().HaveCount(2);
    }

    [Fact]
    public void One_workload_can_be_taken_out() => Prop.ForAll(Seeds, seed =>
    {
        var whole = RecordedRun.OfRandom(seed, workloads: 3);
        var part = new MemoryStream();

        Recordings.Extract(new MemoryStream(whole), static name => name.Name == "w1", part).Should().Be(1);

        List<ReplayedStep> before = [], after = [];
        Recordings.Replay(new MemoryStream(whole), static name => name.Name == "w1", before.Add);
        var report = Replay(part.ToArray(), after.Add);
        report.IsIdentical.Should().BeTrue();
        report.Workloads.Should().ContainSingle().Which.Name.Should().Be(new RecordedName("genai", "w1", "t"));
        after.Should().Equal(before);
        part.Length.Should().BeLessThan(whole.Length);
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(20));

    [Fact]
    public void Every_member_of_a_snapshot_is_recorded()
    {
        var recorded = typeof(SnapshotFigures).GetProperties().Select(static property => (property.Name, property.PropertyType));
        var seen = typeof(WorkloadSnapshot).GetProperties().Where(static property => property.SetMethod is not null).Select(static property => (property.Name, property.PropertyType));

        seen.Except([(nameof(WorkloadSnapshot.Queues), typeof(ReadOnlySpan<QueueReading>)), (nameof(WorkloadSnapshot.Pods), typeof(ReadOnlySpan<PodMemory>))])
            .Should().BeEquivalentTo(recorded, "what a step sees and the recorder does not write makes replays differ: add it to SnapshotFigures");
        var given = new WorkloadSnapshot
        {
            Queues = [default],
            Memory = new() { IsPartial = true },
            ModelServers = new() { Pods = 3 },
            Latency = new() { Value = 1 },
            Query = new() { Value = 2 },
            Replicas = new() { Existing = 3 },
            ScheduledReplicas = 5,
            Seasonal = new() { IsKnown = true },
            MatchedByPattern = true,
            QueueSetVersion = 4,
        };
        var back = SnapshotFigures.Of(SnapshotFigures.Of(given).With(given.Queues, given.Pods));
        back.Should().Be(SnapshotFigures.Of(given));
        foreach (var property in typeof(SnapshotFigures).GetProperties())
        {
            property.GetValue(back).Should().NotBe(property.PropertyType.IsValueType ? Activator.CreateInstance(property.PropertyType) : null, "{0}", property.Name);
        }
    }

    private static ReplayReport Replay(byte[] recording, Action<ReplayedStep>? onStep = null) => Recordings.Replay(new MemoryStream(recording), onStep: onStep);

    // Through the same door as it came in: unpacked, changed, packed.
    private static byte[] Rewritten(byte[] recording, string name, string other)
    {
        var frames = Frames.Unpack(recording);
        var header = System.Text.Encoding.Latin1.GetString(frames[0]);
        header.Should().Contain(name);
        frames[0] = System.Text.Encoding.Latin1.GetBytes(header.Replace(name, other, StringComparison.Ordinal));
        return Frames.Pack(frames);
    }
}
