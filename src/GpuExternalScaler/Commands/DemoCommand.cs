using System.CommandLine;
using System.CommandLine.Parsing;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Demo;
using Spectre.Console;

namespace GpuExternalScaler.Commands;

/// <summary><c>demo</c>: the server at work on a scripted workload, with nothing to install.</summary>
internal static class DemoCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var defaults = new DemoSettings();
        var speed = new Option<double>("--speed")
        {
            Description = $"Simulated seconds per real second, {DemoSettings.Speeds.From} to {DemoSettings.Speeds.To}.",
            HelpName = "N",
            DefaultValueFactory = _ => defaults.Speed,
            CustomParser = static result => ReadSpeed(result),
        };
        var duration = new Option<TimeSpan?>("--duration")
        {
            // The default in words: the library would write it as 00:16:00.
            Description = $"Simulated time, {DemoSettings.Durations.From.TotalMinutes}m to {DemoSettings.Durations.To.TotalHours}h. [default: {defaults.Duration.TotalMinutes}m]",
            HelpName = "DURATION",
            CustomParser = static result => ReadDuration(result),
        };
        var command = new Command("demo", "Play a scripted workload against the server, with a stand-in broker, KEDA and HPA; needs nothing else.") { speed, duration };
        command.SetAction((result, cancellation) => RunAsync(
            defaults with { Speed = result.GetValue(speed), Duration = result.GetValue(duration) ?? defaults.Duration },
            ScreenFor,
            cancellation));
        return command;
    }

    /// <summary>Plays it. Being stopped is no failure.</summary>
    public static async Task<int> RunAsync(DemoSettings settings, Func<DemoSettings, DemoScreen> screenFor, CancellationToken cancellation)
    {
        await new DemoRun(settings, screenFor(settings), TimeProvider.System).RunAsync(cancellation);
        return ExitCode.Done;
    }

    private static DemoScreen ScreenFor(DemoSettings settings) =>
        Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Ansi
            ? new PlainScreen(Console.Out)
            : new LiveScreen(AnsiConsole.Console, settings);

    private static double ReadSpeed(ArgumentResult result)
    {
        var (from, to) = DemoSettings.Speeds;
        if (SettingText.TryNumber(result.Tokens[0].Value, out var speed) && speed >= from && speed <= to)
        {
            return speed;
        }

        result.AddError($"--speed must be a number from {from} to {to}");
        return default;
    }

    private static TimeSpan? ReadDuration(ArgumentResult result)
    {
        var (from, to) = DemoSettings.Durations;
        if (SettingText.TryDuration(result.Tokens[0].Value, out var duration) && duration >= from && duration <= to)
        {
            return duration;
        }

        result.AddError($"--duration must be a duration such as 20m, from {from.TotalMinutes}m to {to.TotalHours}h");
        return null;
    }
}
