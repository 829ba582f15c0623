using GpuExternalScaler.Commands;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Recording;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Scaling.Recording;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Prometheus;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GpuExternalScaler.Tests.Recording;

/// <summary>The recorder and its files, with steps made up and time that passes when told.</summary>
public sealed class RecorderTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("recorder");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task What_it_writes_replays_to_the_same_decisions_over_rotations_within_its_limit()
    {
        var stage = Stage.Begin(FileIn("r.gsr"), limit: 200_000, workloads: 40);
        long most = 0;
        for (var tick = 0; tick < 1_500; tick++)
        {
            stage.Tick();
            await stage.WrittenAsync();
            most = Math.Max(most, _folder.EnumerateFiles().Sum(static file => file.Length));
        }

        await stage.EndAsync();

        stage.Warnings.Should().BeEmpty();
        most.Should().BeLessThanOrEqualTo(200_000);
        var older = Replay("r.gsr.1");
        var newest = Replay("r.gsr");
        older.IsIdentical.Should().BeTrue();
        newest.IsIdentical.Should().BeTrue();
        older.CutOff.Should().Be(0);
        newest.Workloads.Should().HaveCount(40);
        stage.Status.DroppedSteps.Should().Be(0);
        stage.Status.Steps.Should().Be(1_500 * 40).And.BeGreaterThan(older.Steps + newest.Steps, "what was before these two is gone");
        newest.Workloads.Should().OnlyContain(workload => older.Workloads.Single(before => before.Name == workload.Name).To < workload.From, "a rotation loses nothing and repeats nothing");
        newest.Workloads.Should().OnlyContain(workload => workload.From - older.Workloads.Single(before => before.Name == workload.Name).To == TimeSpan.FromSeconds(1));
        if (!OperatingSystem.IsWindows())
        {
            File.GetUnixFileMode(FileIn("r.gsr")).Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
    }

    [Fact]
    public async Task A_disk_that_is_full_stops_it_once_and_it_begins_anew_where_the_file_is_whole()
    {
        var disk = new FullDisk();
        var stage = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 5, disk.Open);
        await stage.TicksAsync(20);
        stage.Status.IsUp.Should().BeTrue();

        disk.IsFull = true;
        await stage.TicksAsync(100);
        stage.Status.IsUp.Should().BeFalse();
        stage.Status.DroppedSteps.Should().BePositive();
        stage.Warnings.Should().ContainSingle().Which.Should().Contain("No space left");

        disk.IsFull = false;
        await stage.TicksAsync(60);
        stage.Status.IsUp.Should().BeTrue();
        stage.Warnings.Should().ContainSingle();
        await stage.EndAsync();

        var report = Replay("r.gsr");
        report.IsIdentical.Should().BeTrue();
        report.Segments.Should().BeGreaterThan(1);
        report.CutOff.Should().Be(0);
    }

    [Fact]
    public async Task A_disk_that_hangs_holds_nobody_up()
    {
        var disk = new FullDisk();
        var stage = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 5, disk.Open);
        await stage.TicksAsync(4);
        disk.Hangs.Reset();
        for (var tick = 0; tick < 400; tick++)
        {
            stage.Tick();
        }

        stage.Warnings.Should().ContainSingle().Which.Should().Contain("too slow");
        disk.Hangs.Set();
        await stage.TicksAsync(60);
        stage.Status.IsUp.Should().BeTrue();
        await stage.EndAsync();
        Replay("r.gsr").IsIdentical.Should().BeTrue();
    }

    [Fact]
    public async Task After_a_restart_the_file_goes_on_and_one_that_is_none_is_not_touched()
    {
        for (var run = 0; run < 3; run++)
        {
            var stage = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 2);
            await stage.TicksAsync(10);
            await stage.EndAsync();

            // As if it had been killed in the middle of a frame.
            await File.AppendAllTextAsync(FileIn("r.gsr"), "part of something");
        }

        new RecordingOptions(FileIn("r.gsr"), 1_000_000).Problem().Should().BeNull();
        using (var file = new FileStream(FileIn("r.gsr"), FileMode.Open))
        {
            file.SetLength(Recordings.WholeLength(file)!.Value);
        }

        var report = Replay("r.gsr");
        report.IsIdentical.Should().BeTrue();
        report.Segments.Should().Be(3);
        report.Steps.Should().Be(3 * 10 * 2);

        await File.WriteAllTextAsync(FileIn("notes.txt"), "mine");
        new RecordingOptions(FileIn("notes.txt"), 1_000_000).Problem().Should().Contain("not overwritten");
        new RecordingOptions(FileIn("none/r.gsr"), 1_000_000).Problem().Should().NotBeNull();

        // A rotation would put the newer half in its place.
        File.Move(FileIn("notes.txt"), FileIn("r.gsr.1"));
        new RecordingOptions(FileIn("r.gsr"), 1_000_000).Problem().Should().Contain("r.gsr.1").And.Contain("not overwritten");
    }

    [Fact]
    public async Task A_limit_that_is_too_small_is_said_and_does_not_write_for_ever()
    {
        var stage = Stage.Begin(FileIn("r.gsr"), limit: RecordingOptions.SmallestLimit, workloads: 300);
        await stage.TicksAsync(100);

        stage.Warnings.Should().NotBeEmpty().And.OnlyContain(static warning => warning.Contains("too small", StringComparison.Ordinal));
        _folder.EnumerateFiles().Sum(static file => file.Length).Should().BeLessThanOrEqualTo(RecordingOptions.SmallestLimit);
        await stage.EndAsync();
    }

    [Fact]
    public async Task Two_servers_do_not_write_over_each_other_and_the_second_goes_on_when_the_first_has_ended()
    {
        // A rolling update: the new one begins before the old one is gone.
        var first = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 5);
        await first.TicksAsync(10);
        var second = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 5);
        for (var tick = 0; tick < 20; tick++)
        {
            await first.TicksAsync(1);
            await second.TicksAsync(1);
        }

        second.Status.IsUp.Should().BeFalse();
        second.Warnings.Should().ContainSingle().Which.Should().Contain("another process");
        await first.EndAsync();
        await second.TicksAsync(40);
        second.Status.IsUp.Should().BeTrue();
        await second.EndAsync();

        var report = Replay("r.gsr");
        report.IsIdentical.Should().BeTrue();
        report.Segments.Should().Be(2);
        report.Steps.Should().BeGreaterThan(30 * 5);
    }

    [Fact]
    public async Task What_does_not_fit_behind_what_a_server_before_left_begins_a_file_of_its_own()
    {
        var before = Stage.Begin(FileIn("r.gsr"), limit: 100_000, workloads: 40);
        while (new FileInfo(FileIn("r.gsr")) is not { Exists: true, Length: > 40_000 })
        {
            await before.TicksAsync(1);
        }

        await before.EndAsync();
        new FileInfo(FileIn("r.gsr")).Length.Should().BeLessThan(45_000, "there must be some room, and too little");
        var stage = Stage.Begin(FileIn("r.gsr"), limit: 100_000, workloads: 150);
        await stage.TicksAsync(20);

        stage.Warnings.Should().BeEmpty();
        stage.Status.IsUp.Should().BeTrue();
        await stage.EndAsync();
        var report = Replay("r.gsr");
        report.IsIdentical.Should().BeTrue();
        report.Workloads.Should().HaveCount(150);
    }

    [Fact]
    public async Task A_file_that_is_taken_away_is_said_and_begun_anew()
    {
        var stage = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 5);
        await stage.TicksAsync(10);
        File.Move(FileIn("r.gsr"), FileIn("kept.gsr"));
        await stage.TicksAsync(10);
        stage.Status.IsUp.Should().BeFalse();
        stage.Warnings.Should().ContainSingle().Which.Should().Contain("moved or deleted");

        await stage.TicksAsync(40);
        stage.Status.IsUp.Should().BeTrue();
        await stage.EndAsync();
        Replay("r.gsr").IsIdentical.Should().BeTrue();
        Replay("kept.gsr").IsIdentical.Should().BeTrue();
    }

    [Fact]
    public async Task Workloads_that_vanish_end_and_those_that_throw_begin_anew()
    {
        var stage = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 3);
        await stage.TicksAsync(10);
        stage.Throw(0);
        stage.Remove(2);
        await stage.TicksAsync(150);
        await stage.EndAsync();

        var steps = new List<ReplayedStep>();
        using var file = File.OpenRead(FileIn("r.gsr"));
        var report = Recordings.Replay(file, onStep: steps.Add);
        report.Workloads.Single(static workload => workload.Name.Name == "w2").Steps.Should().Be(10);
        steps.Where(static step => step.Verdict != ReplayVerdict.Same).Should().ContainSingle().Which.Recorded.Threw.Should().BeTrue();
    }

    [Fact]
    public async Task The_command_says_whether_it_is_identical_and_takes_a_workload_out()
    {
        var stage = Stage.Begin(FileIn("r.gsr"), limit: 10_000_000, workloads: 3);
        await stage.TicksAsync(50);
        await stage.EndAsync();
        var folder = new DirectoryInfo(Path.Combine(_folder.FullName, "case"));
        using StringWriter output = new(), error = new();

        ReplayCommand.Run(new FileInfo(FileIn("r.gsr")), "genai/w1", show: true, folder, output, error).Should().Be(ExitCode.Done);

        output.ToString().Should().Contain("identical").And.Contain("50 steps of 1 workload").And.Contain("genai/w1#t").And.NotContain("w2");
        error.ToString().Should().BeEmpty();
        ReplayCommand.Run(new FileInfo(Path.Combine(folder.FullName, "recording.gsr")), null, show: false, null, output, error).Should().Be(ExitCode.Done);
        ReplayCommand.Run(new FileInfo(FileIn("r.gsr")), "genai/w1", show: false, folder, output, error).Should().Be(ExitCode.InvalidInput, "a folder that holds something is not overwritten");
        ReplayCommand.Run(new FileInfo(FileIn("r.gsr")), "genai/other", show: false, null, output, error).Should().Be(ExitCode.InvalidInput);
        ReplayCommand.Run(new FileInfo(FileIn("none")), null, show: false, null, output, error).Should().Be(ExitCode.InvalidInput);
        await File.WriteAllTextAsync(FileIn("notes"), "not a recording at all");
        ReplayCommand.Run(new FileInfo(FileIn("notes")), null, show: false, null, output, error).Should().Be(ExitCode.InvalidInput);
        error.ToString().Should().Contain("notes: not a recording").And.Contain("nothing was recorded of genai/other");
    }

    private string FileIn(string name) => Path.Combine(_folder.FullName, name);

    private ReplayReport Replay(string name)
    {
        using var file = File.OpenRead(FileIn(name));
        return Recordings.Replay(file);
    }

    /// <summary>Workloads that are stepped and recorded, a second at a time.</summary>
    private sealed class Stage
    {
        private static readonly ScalerOptions Options = ConfigurationFile.Parse("rabbitmq: { main: { metrics: { urls: [\"http://localhost:1\"] } } }\n", out _)!;
        private readonly List<(Workload Workload, WorkloadEvaluation Evaluation)> _workloads = [];
        private readonly RecordingFiles _files;
        private readonly Recorder _recorder;
        private readonly WarningLogger<Recorder> _logger = new();
        private readonly Random _random = new(1);
        private int _throws = -1;

        private Stage(string file, long limit, int workloads, Func<string, Stream>? open)
        {
            var options = new RecordingOptions(file, limit);
            _files = new RecordingFiles(options, Status, NullLogger<RecordingFiles>.Instance) { OpenFile = open ?? RecordingOptions.Open };
            _recorder = new Recorder(_files, options, Status, _logger);
            var clock = new MonotonicClock(TimeProvider.System);
            var snapshot = ConfigurationSnapshot.Of(Options, new SourceFactory(clock, static _ => { }, static _ => { }), reading: null);
            for (var i = 0; i < workloads; i++)
            {
                var trigger = TriggerMetadata.Parse("genai", $"w{i}", new Dictionary<string, string>(StringComparer.Ordinal) { ["queue"] = $"q{i}" }, out _)! with { TriggerId = "t" };
                _workloads.Add((new Workload(trigger, snapshot), new WorkloadEvaluation(null, new WorkloadState(), null, new FleetBinding(trigger), new SeasonalBinding(new SeriesOwner("genai", $"w{i}", "t"), static _ => false))));
            }
        }

        public RecordingStatus Status { get; } = new();

        public IReadOnlyList<string> Warnings => _logger.Warnings;

        public DateTimeOffset Now { get; private set; } = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);

        public static Stage Begin(string file, long limit, int workloads, Func<string, Stream>? open = null)
        {
            var stage = new Stage(file, limit, workloads, open);
            _ = stage._files.StartAsync(CancellationToken.None);
            return stage;
        }

        public void Throw(int workload) => _throws = workload;

        public void Remove(int workload) => _workloads.RemoveAt(workload);

        public void Tick()
        {
            _recorder.BeginTick(Now);
            for (var i = 0; i < _workloads.Count; i++)
            {
                Step(i, _workloads[i].Workload, _workloads[i].Evaluation);
            }

            _throws = -1;
            _recorder.EndTick(Now);
            Now += TimeSpan.FromSeconds(1);
        }

        public async Task TicksAsync(int count)
        {
            for (var i = 0; i < count; i++)
            {
                Tick();
                await WrittenAsync();
            }
        }

        /// <summary>Waits until everything handed over was taken.</summary>
        public async Task WrittenAsync()
        {
            while (_files.Waiting > 0)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System);
            }
        }

        public async Task EndAsync()
        {
            _recorder.Flush(Now);
            await _files.StopAsync(CancellationToken.None);
            _files.Dispose();
        }

        private void Step(int number, Workload workload, WorkloadEvaluation evaluation)
        {
            // A sweep every two seconds.
            var at = Now - TimeSpan.FromSeconds(Now.Second % 2);
            var queues = new[]
            {
                new QueueReading
                {
                    Presence = QueuePresence.Present,
                    Ready = _random.Next(50) * (Now.Minute % 3),
                    Unacked = _random.Next(5),
                    Consumers = 5,
                    ObservedAt = at,
                    LastPresentAt = at,
                    FreshFor = TimeSpan.FromSeconds(4),
                    StaleAfter = TimeSpan.FromSeconds(20),
                },
            };
            var snapshot = new WorkloadSnapshot { Queues = queues };
            var policy = ScalingPolicy.Default;
            _recorder.BeforeStep(workload, evaluation, policy, Now);
            ScalingDecision? decision = number == _throws ? null : DecisionFold.Step(evaluation.State, snapshot, policy, Now);
            _recorder.AfterStep(evaluation, snapshot, policy, Now, decision);
        }
    }

    private sealed class WarningLogger<T> : ILogger<T>
    {
        private readonly List<string> _warnings = [];

        public IReadOnlyList<string> Warnings => _warnings;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Warning)
            {
                _warnings.Add(formatter(state, exception));
            }
        }
    }

    /// <summary>Files on a disk that can be full, which shows in the middle of a write, or hang.</summary>
    private sealed class FullDisk
    {
        public bool IsFull { get; set; }

        public ManualResetEventSlim Hangs { get; } = new(initialState: true);

        public Stream Open(string file) => new Disk(this, RecordingOptions.Open(file));

        private sealed class Disk(FullDisk disk, FileStream file) : Stream
        {
            public override bool CanRead => true;

            public override bool CanSeek => true;

            public override bool CanWrite => true;

            public override long Length => file.Length;

            public override long Position
            {
                get => file.Position;
                set => file.Position = value;
            }

            public override void Flush() => file.Flush();

            public override int Read(byte[] buffer, int offset, int count) => file.Read(buffer, offset, count);

            public override long Seek(long offset, SeekOrigin origin) => file.Seek(offset, origin);

            public override void SetLength(long value) => file.SetLength(value);

            public override void Write(byte[] buffer, int offset, int count)
            {
                disk.Hangs.Wait();
                if (disk.IsFull)
                {
                    file.Write(buffer, offset, count / 2);
                    throw new IOException("No space left on device");
                }

                file.Write(buffer, offset, count);
            }

            protected override void Dispose(bool disposing)
            {
                file.Dispose();
                base.Dispose(disposing);
            }
        }
    }
}
