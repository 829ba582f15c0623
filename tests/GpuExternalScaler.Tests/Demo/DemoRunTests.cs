using System.CommandLine;
using System.Text.RegularExpressions;
using GpuExternalScaler.Commands;
using GpuExternalScaler.Demo;
using GpuExternalScaler.Scaling.Deciding;
using Spectre.Console;

namespace GpuExternalScaler.Tests.Demo;

public class DemoRunTests
{
    private static readonly DemoSettings Fast = new() { Speed = 100, Duration = DemoSettings.Durations.From };

    [Fact]
    public async Task From_the_first_message_through_a_spike_to_zero()
    {
        var screen = new Recorder();
        (await DemoCommand.RunAsync(Fast, _ => screen, CancellationToken.None)).Should().Be(ExitCode.Done);
        var rows = screen.Rows;
        var told = string.Join('\n', screen.Lines);

        rows.Should().HaveCountGreaterThan(30).And.OnlyContain(row => row.Wanted >= 0 && row.Wanted <= Fast.Hpa.MaxReplicas);
        rows.SkipWhile(static row => row.Answer?.Value is null).Should().NotBeEmpty()
            .And.OnlyContain(static row => row.Answer!.Error == null, "once sampled, it always has an answer:\n{0}", told);
        told.Should().Contain("StreamIsActive said true").And.Contain("0 of them without an answer");

        var before = rows.Last(static row => row.Phase == DemoPhase.Steady).AnswerReplicas!.Value;
        var spike = rows.Where(static row => row.Phase == DemoPhase.Spike).ToList();
        var rose = spike.First(row => row.AnswerReplicas > 1.2 * before).At;
        var queued = spike.FirstOrDefault(static row => row.Decision is { Ready: > 20 })?.At ?? TimeSpan.MaxValue;
        rose.Should().BeLessThanOrEqualTo(queued, "the answer must not come after the queue:\n{0}", told);
        spike.Max(static row => row.AnswerReplicas).Should().BeGreaterThanOrEqualTo(20, "10 messages/s of 2 s keep 20 busy");

        rows[^1].Should().Match<DemoRow>(static row => row.Wanted == 0 && row.Serving == 0 && row.Answer!.Value == 0);
        rows[^1].Decision!.Value.IsActive.Should().BeFalse();
    }

    [Fact]
    public async Task Stopping_it_is_no_failure()
    {
        using var stopping = new CancellationTokenSource();
        var screen = new Recorder { OnRow = stopping.Cancel };
        var run = DemoCommand.RunAsync(Fast, _ => screen, stopping.Token);
        (await run.WaitAsync(TimeSpan.FromSeconds(60))).Should().Be(ExitCode.Done);
        screen.Lines.Should().Contain(static line => line.StartsWith("Stopped at ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("demo --speed 0.5", "--speed must be a number from 1 to 100")]
    [InlineData("demo --speed fast", "--speed must be")]
    [InlineData("demo --duration 1m", "--duration must be a duration such as 20m, from 10m to 24h")]
    [InlineData("demo --duration soon", "--duration must be")]
    public void A_wrong_option_is_named(string line, string message) =>
        new RootCommand { DemoCommand.Create() }.Parse(line).Errors.Select(static error => error.Message)
            .Should().ContainSingle().Which.Should().StartWith(message);

    [Theory]
    [InlineData("demo")]
    [InlineData("demo --speed 20 --duration 1h30m")]
    public void Right_options_are_taken(string line) =>
        new RootCommand { DemoCommand.Create() }.Parse(line).Errors.Should().BeEmpty();

    [Theory]
    [InlineData(80)]
    [InlineData(100)]
    [InlineData(140)]
    public async Task The_table_fits_the_terminal(int width)
    {
        using var output = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.Yes, Out = new AnsiConsoleOutput(output) });
        (console.Profile.Width, console.Profile.Height) = (width, 24);
        var screen = new LiveScreen(console, Fast);
        await screen.PlayAsync(() =>
        {
            screen.Note(TimeSpan.Zero, "[not markup]");
            for (var i = 0; i < 50; i++)
            {
                screen.Show(Row(i), "because [of that]", keep: i % 2 == 0);
            }

            return Task.CompletedTask;
        });

        var lines = Regex.Replace(output.ToString(), @"\x1b\[[0-9;?]*[A-Za-z]", "", RegexOptions.NonBacktracking).Split('\n', '\r');
        lines.Should().OnlyContain(line => line.Length <= width);
        lines.Should().Contain(static line => line.Contains("sumers", StringComparison.Ordinal))
            .And.Contain(static line => line.Contains("49:00", StringComparison.Ordinal))
            .And.Contain(static line => line.Contains("service_time_unknown", StringComparison.Ordinal))
            .And.Contain(static line => line.Contains("[not markup]", StringComparison.Ordinal));
    }

    private static DemoRow Row(int minute) => new()
    {
        At = TimeSpan.FromMinutes(minute),
        Phase = DemoPhase.Spike,
        Decision = new ScalingDecision { Reason = DecisionReason.ServiceTimeUnknown, Ready = 12345, Unacked = 40, Consumers = 40, Saturation = 1 },
        Answer = new KedaAnswer(1234, null, null),
        Target = 100,
        Wanted = 13,
        Serving = 7,
    };

    private sealed class Recorder : DemoScreen
    {
        public List<DemoRow> Rows { get; } = [];

        public List<string> Lines { get; } = [];

        public Action OnRow { get; init; } = static () => { };

        public override void Write(string line) => Lines.Add(line);

        public override Task PlayAsync(Func<Task> play) => play();

        public override void Note(TimeSpan at, string text) => Lines.Add($"{DemoRow.Time(at)} {text}");

        public override void Show(DemoRow row, string why, bool keep)
        {
            if (keep)
            {
                Rows.Add(row);
                Lines.Add(string.Join(' ', row.Cells));
                OnRow();
            }
        }
    }
}
