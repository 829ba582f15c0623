using System.CommandLine;
using GpuExternalScaler.Commands;
using GpuExternalScaler.Simulation;

namespace GpuExternalScaler.Tests.Simulation;

public sealed class SimulateCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("simulate-tests");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("")]
    [InlineData("--shape viral --trace f.csv")]
    [InlineData("--shape viral --recording r.gsr --workload a/b")]
    [InlineData("--recording r.gsr")]
    [InlineData("--shape viral --workload a/b")]
    [InlineData("--prometheus main --query up")]
    [InlineData("--prometheus main --query up --from 2026-01-01T00:00:00Z")]
    [InlineData("--prometheus main --query up --from 5m --to 10m")]
    [InlineData("--prometheus main --query up --from 2026-01-02T00:00:00Z --to 2026-01-01T00:00:00Z")]
    [InlineData("--prometheus main --query up --from 2026-01-01T00:00:00Z --to 2027-01-01T00:00:00Z")]
    [InlineData("--prometheus main --query up --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --length 5")]
    [InlineData("--prometheus main --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z")]
    [InlineData("--shape viral --to 2026-01-01T00:00:00Z")]
    [InlineData("--shape viral --from -5")]
    [InlineData("--shape viral --from x")]
    [InlineData("--shape viral --length 0")]
    [InlineData("--shape viral --service-time 0")]
    [InlineData("--shape viral --service-time NaN")]
    [InlineData("--shape viral --cold-start 25h")]
    [InlineData("--shape viral --cold-start-spread 3")]
    [InlineData("--shape viral --scale-mean 0")]
    [InlineData("--shape viral --late-after 0")]
    [InlineData("--shape viral --seed x")]
    [InlineData("--shape viral --drain maybe")]
    public void Wrong_options_are_refused(string options) => Parse(options).Errors.Should().NotBeEmpty();

    [Theory]
    [InlineData("--shape viral")]
    [InlineData("--trace f.csv --from 300 --length 20m --service-time 500ms --cold-start 3m --cold-start-spread 0 --scale-mean 50 --hpa so.yaml --drain false --late-after 5 --seed 7")]
    [InlineData("--recording r.gsr --workload a/b --policy ahead --policy keda-queue-length:value=2")]
    [InlineData("--prometheus main --query rate(x[1m]) --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00+02:00 --config scaler.yaml")]
    [InlineData("--prometheus main --query up --from 2026-01-01T00:00Z --to 2026-01-02T00:00Z --scale-mean 10")]
    public void Right_options_are_taken(string options) => Parse(options).Errors.Should().BeEmpty();

    [Theory]
    [InlineData("time,arrivals\n0,1\n", "trace.csv, line 1: the header seconds,arrivals is missing")]
    [InlineData("seconds,arrivals\n0,x\n1,1\n", "trace.csv, line 2: arrivals must be a number")]
    public async Task A_bad_trace_is_one_sentence(string text, string sentence) =>
        (await RunAsync(new SimulateSettings { Trace = Write("trace.csv", text) })).Should().Be((ExitCode.InvalidInput, sentence + "\n"));

    [Fact]
    public async Task So_is_everything_else_that_is_wrong()
    {
        foreach (var (settings, sentence) in new (SimulateSettings, string)[]
        {
            (new() { Trace = new FileInfo("/nonexistent.csv") }, "Could not find file '/nonexistent.csv'."),
            (new() { Trace = new FileInfo(_folder.FullName) }, "*"),
            (new() { Shape = "vrial" }, "There is no shape of this name; there are *"),
            (new() { Recording = Write("r.gsr", "no recording"), Workload = "a/b" }, "*r.gsr: not a recording"),
            (new() { Shape = "viral", From = 14_400 }, "--from: the trace is 14400 s long"),
            (new() { Shape = "viral", From = 14_000, Length = 401 }, "--length: from there on the trace has 400 s"),
            (new() { Trace = Write("idle.csv", "seconds,arrivals\n0,0\n1,0\n"), ScaleMean = 5 }, "--scale-mean: nothing arrives in this trace*"),
            (new() { Shape = "viral", ScaleMean = 100_000, ServiceTime = 0.001 }, "--scale-mean: more than 1000000 messages*"),
            (new() { Shape = "viral", Hpa = new FileInfo("/nonexistent.yaml") }, "Could not find file '/nonexistent.yaml'."),
            (new() { Shape = "viral", Policies = ["ahead", "nonsense"] }, "--policy nonsense: *"),
            (new() { Shape = "viral", Json = new FileInfo("/nonexistent/x.json") }, "/nonexistent/x.json: its folder does not exist"),
            (new() { Shape = "viral", Report = new FileInfo(_folder.FullName) }, "*: is a folder"),
            (new() { Prometheus = "main", Query = "up", Config = Write("scaler.yaml", "history: {}\n") }, "*"),
        })
        {
            var (exit, error) = await RunAsync(settings);

            exit.Should().Be(ExitCode.InvalidInput);
            error.Should().Match(sentence + "\n").And.NotContain("   at ");
        }
    }

    [Fact]
    public async Task What_came_of_it_is_told_and_written_and_is_the_same_each_time()
    {
        var settings = new SimulateSettings { Shape = "constant", Length = 900, Policies = ["ahead", "ahead:saturationThreshold=0.5"] };
        List<string> files = ["one.json", "one.csv", "one.html", "two.json", "two.csv", "two.html"];

        foreach (var three in files.Chunk(3))
        {
            var output = new StringWriter();
            var exit = await SimulateCommand.RunAsync(
                settings with { Json = File(three[0]), Csv = File(three[1]), Report = File(three[2]) }, OutcomeScreen.Plain(output), isTerminal: false, TextWriter.Null, CancellationToken.None);

            exit.Should().Be(ExitCode.Done);
            output.ToString().Should().Contain("ahead:saturationThreshold=0.5").And.Contain("replica-hours");
        }

        var texts = files.ConvertAll(name => System.IO.File.ReadAllText(File(name).FullName));
        texts[..3].Should().Equal(texts[3..]).And.NotContain("");
        texts[1].Split('\n').Should().HaveCount(1 + (2 * 900) + 1);
    }

    [Fact]
    public async Task A_run_that_is_stopped_has_failed()
    {
        var error = new StringWriter();
        var exit = await SimulateCommand.RunAsync(new SimulateSettings { Shape = "constant", Policies = ["ahead"] }, OutcomeScreen.Plain(TextWriter.Null), isTerminal: false, error, new CancellationToken(canceled: true));

        exit.Should().Be(ExitCode.Failed);
        error.ToString().Should().StartWith("stopped before the end");
    }

    private FileInfo File(string name) => new(Path.Combine(_folder.FullName, name));

    private FileInfo Write(string name, string text)
    {
        var file = Path.Combine(_folder.FullName, name);
        System.IO.File.WriteAllText(file, text);
        return new FileInfo(file);
    }

    private static ParseResult Parse(string options) => SimulateCommand.Create().Parse(options.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    private static async Task<(int Exit, string Error)> RunAsync(SimulateSettings settings)
    {
        var (output, error) = (new StringWriter(), new StringWriter { NewLine = "\n" });
        var exit = await SimulateCommand.RunAsync(settings, OutcomeScreen.Plain(output), isTerminal: false, error, CancellationToken.None);
        return (exit, error.ToString());
    }
}
