using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Simulation;
using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Simulation.Reports;
using GpuExternalScaler.Simulation.Traces;
using Spectre.Console;

namespace GpuExternalScaler.Commands;

/// <summary><c>simulate</c>: what policies would do with a trace of arrivals, under KEDA, an HPA and a cold start.</summary>
internal static class SimulateCommand
{
    private const int UnnamedMaximum = 10_000;

    private const double Day = 86_400;

    private static readonly SimulateSettings Defaults = new();

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var trace = File("--trace", "Arrivals from a CSV file with the header seconds,arrivals.");
        var shape = new Option<string?>("--shape")
        {
            Description = $"Generated arrivals: {string.Join("; ", Shapes.Known.Select(static known => $"{known.Name} ({known.Meaning})"))}.",
            HelpName = "NAME",
        };
        var recording = File("--recording", "Arrivals from what serve --record wrote, with --workload.");
        var workload = new Option<string?>("--workload") { Description = "The workload of the recording.", HelpName = "NAMESPACE/NAME[#TRIGGER]" };
        var prometheus = new Option<string?>("--prometheus") { Description = "Arrivals from this Prometheus connection of the configuration file, with --query, --from and --to.", HelpName = "NAME" };
        var query = new Option<string?>("--query") { Description = "PromQL that gives arrivals in 1/s, as one series.", HelpName = "PROMQL" };
        var config = ConfigurationInput.FileOption();
        var from = new Option<string?>("--from") { Description = "Leave out so much at the beginning; with --prometheus the instant at which to begin, such as 2026-05-04T06:00:00Z.", HelpName = "DURATION" };
        var to = new Option<string?>("--to") { Description = "With --prometheus: the instant at which to end.", HelpName = "INSTANT" };
        var length = Seconds("--length", "Simulate so much; without it all.", 1, TraceLimits.Seconds);
        var serviceTime = Seconds("--service-time", "Work in a message, on average. [default: 2s]", 0.001, Day);
        var coldStart = Seconds("--cold-start", "From creating a replica to its first message, on average. [default: 60s]", 0, Day);
        var spread = Number("--cold-start-spread", "Spread of cold starts, as the standard deviation of their logarithm.", 0, 2, Defaults.ColdStartSpread);
        var scaleMean = Number<double?>("--scale-mean", $"Multiply the arrivals so that so many replicas are busy on average; without it as they are, and {SimulateSettings.BusyOfShapes} for a shape.", 0.001, 100_000);
        var hpa = File("--hpa", "A ScaledObject, for its limits and its HPA's behaviour; without it KEDA's and Kubernetes' defaults.");
        var drain = new Option<bool>("--drain") { Description = "Whether a worker that is taken away finishes what it works on.", HelpName = "true|false", DefaultValueFactory = static _ => true };
        var policies = new Option<string[]>("--policy")
        {
            Description = "A policy to compare, as NAME or NAME:key=value,key=value; may be given several times. ahead takes any policy key; others are keda-queue-length:value=N, keda-ready-only:value=N, keda-message-rate:value=N, saturation-ratio:threshold=X, fixed-lead:lead=S,quantile=Q and clairvoyant. A comma in a value is written \\,.",
            HelpName = "POLICY",
            DefaultValueFactory = static _ => [],
        };
        var lateAfter = Seconds("--late-after", "A message is late when it waits longer. [default: 10s]", 0.001, Day);
        var seed = new Option<int>("--seed") { Description = "Seed of all chance: the same gives the same.", HelpName = "N", DefaultValueFactory = static _ => Defaults.Seed };
        var json = File("--json", "Write the figures into this file.");
        var csv = File("--csv", "Write every second into this file.");
        var report = File("--report", "Write a page with pictures into this file.");
        var command = new Command("simulate", "Simulate what policies do with a trace of arrivals, and compare what waits and what it costs.")
        {
            trace, shape, recording, workload, prometheus, query, config, from, to, length, serviceTime, coldStart, spread, scaleMean, hpa, drain, policies, lateAfter, seed, json, csv, report,
        };
        command.Validators.Add(result =>
        {
            var sources = new Option[] { trace, shape, recording, prometheus }.Count(source => result.GetResult(source) is { Implicit: false });
            if (sources != 1)
            {
                result.AddError("one of --trace, --shape, --recording and --prometheus says what arrives");
                return;
            }

            Together(result, recording, workload);
            Together(result, prometheus, query);
            Together(result, prometheus, to);
            var isRange = result.GetResult(prometheus) is not null;
            if (isRange && result.GetResult(length) is not null)
            {
                result.AddError("--length is for traces; --prometheus has --from and --to");
            }
            else if (isRange && !(TryInstant(result.GetValue(from), out var begin) && TryInstant(result.GetValue(to), out var end) && begin < end && end - begin <= TimeSpan.FromDays(TraceLimits.Days)))
            {
                result.AddError($"--from and --to must be instants with a zone, such as 2026-05-04T06:00:00Z, the second after the first and at most {TraceLimits.Days} days later");
            }
            else if (!isRange && result.GetValue(from) is { } text && !(TrySeconds(text, out var seconds) && seconds >= 0 && seconds <= TraceLimits.Seconds))
            {
                result.AddError($"--from must be seconds, or a duration such as 20m, up to {TraceLimits.Days * 24}h");
            }
        });
        command.SetAction((result, cancellation) =>
        {
            var isRange = result.GetValue(prometheus) is not null;
            _ = TryInstant(result.GetValue(from), out var begin);
            _ = TryInstant(result.GetValue(to), out var end);
            _ = TrySeconds(result.GetValue(from), out var skipped);
            var isTerminal = !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;
            return RunAsync(
                new SimulateSettings
                {
                    Trace = result.GetValue(trace),
                    Shape = result.GetValue(shape),
                    Recording = result.GetValue(recording),
                    Workload = result.GetValue(workload),
                    Prometheus = result.GetValue(prometheus),
                    Query = result.GetValue(query),
                    Config = result.GetValue(config),
                    FromInstant = begin,
                    ToInstant = end,
                    From = isRange ? 0 : (int)skipped,
                    Length = (int?)result.GetValue(length),
                    ServiceTime = result.GetValue(serviceTime) ?? Defaults.ServiceTime,
                    ColdStart = result.GetValue(coldStart) ?? Defaults.ColdStart,
                    ColdStartSpread = result.GetValue(spread),
                    ScaleMean = result.GetValue(scaleMean),
                    Hpa = result.GetValue(hpa),
                    Drain = result.GetValue(drain),
                    Policies = result.GetValue(policies)!,
                    LateAfter = result.GetValue(lateAfter) ?? Defaults.LateAfter,
                    Seed = result.GetValue(seed),
                    Json = result.GetValue(json),
                    Csv = result.GetValue(csv),
                    Report = result.GetValue(report),
                },
                isTerminal ? AnsiConsole.Console : OutcomeScreen.Plain(Console.Out),
                isTerminal,
                Console.Error,
                cancellation);
        });
        return command;
    }

    /// <summary>Simulates it. What came of it goes to <paramref name="console"/>, what is wrong with the input to <paramref name="error"/>.</summary>
    public static async Task<int> RunAsync(SimulateSettings settings, IAnsiConsole console, bool isTerminal, TextWriter error, CancellationToken cancellation)
    {
        (SimulationSetup Setup, List<(PolicyChoice, Simulation.Rules.IScalingRule)> Policies) input;
        try
        {
            CheckOutputs(settings);
            ScalerOptions? configuration = null;
            if (settings.Prometheus is not null)
            {
                // Every finding is told with its place.
                configuration = (await ConfigurationInput.ReadAsync(settings.Config!, ConfigurationInput.Environment(), error, cancellation))?.Options;
                if (configuration is null)
                {
                    return ExitCode.InvalidInput;
                }
            }

            input = await ReadAsync(settings, configuration, cancellation);
        }
        catch (Exception exception) when (exception is FormatException or InvalidDataException or IOException or UnauthorizedAccessException or NotSupportedException)
        {
            await error.WriteLineAsync(exception.Message);
            return ExitCode.InvalidInput;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return ExitCode.Failed;
        }

        SimulationReport report;
        try
        {
            var outcomes = await SimulationRun.RunAsync(input.Setup, input.Policies, (settings.Csv ?? settings.Report) is not null, isTerminal ? console : null, cancellation);
            report = new SimulationReport(input.Setup, outcomes);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            await error.WriteLineAsync("stopped before the end");
            return ExitCode.Failed;
        }

        OutcomeScreen.Write(report, console);
        try
        {
            WriteFiles(report, settings);
            return ExitCode.Done;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            await error.WriteLineAsync(exception.Message);
            return ExitCode.Failed;
        }
    }

    private static async Task<(SimulationSetup Setup, List<(PolicyChoice, Simulation.Rules.IScalingRule)> Policies)> ReadAsync(SimulateSettings settings, ScalerOptions? configuration, CancellationToken cancellation)
    {
        var choices = (settings.Policies.Count == 0 ? PolicyChoice.Usual : settings.Policies).Select(PolicyChoice.Parse).ToList();
        // A maximum that nobody named would decide what is compared.
        var scaled = settings.Hpa is { } file
            ? ScaledObjectFile.Read(file.ToString())
            : new ScaledObjectSpec { Autoscaler = new AutoscalerSpec { MaxReplicas = UnnamedMaximum } };
        var setup = new SimulationSetup
        {
            Trace = await TraceInput.ReadAsync(settings, configuration, cancellation),
            ServiceTime = settings.ServiceTime,
            ColdStart = settings.ColdStart,
            ColdStartSpread = settings.ColdStartSpread,
            ScaledObject = scaled,
            WorkersDrain = settings.Drain,
            LateAfter = settings.LateAfter,
            Seed = settings.Seed,
        };

        // All of them before the first run: a mistake in the last must not cost the time of the others.
        return (setup, choices.ConvertAll(choice => (choice, choice.CreateRule(setup))));
    }

    // Before a run that may take minutes, and not after it.
    private static void CheckOutputs(SimulateSettings settings)
    {
        foreach (var file in new[] { settings.Json, settings.Csv, settings.Report }.OfType<FileInfo>())
        {
            if (Directory.Exists(file.FullName))
            {
                throw new FormatException($"{file}: is a folder");
            }

            if (file.Directory is { Exists: false })
            {
                throw new FormatException($"{file}: its folder does not exist");
            }
        }
    }

    private static void WriteFiles(SimulationReport report, SimulateSettings settings)
    {
        if (settings.Json is { } json)
        {
            using var stream = json.Create();
            JsonReport.Write(report, stream);
        }

        if (settings.Csv is { } csv)
        {
            using var text = csv.CreateText();
            CsvReport.Write(report, text);
        }

        if (settings.Report is { } page)
        {
            using var text = page.CreateText();
            HtmlReport.Write(report, text);
        }
    }

    private static Option<FileInfo?> File(string name, string description) => new(name) { Description = description, HelpName = "FILE" };

    private static Option<double?> Seconds(string name, string description, double from, double to) => new(name)
    {
        Description = description,
        HelpName = "DURATION",
        CustomParser = result => Read<double?>(result, TrySeconds, from, to, $"{name} must be seconds, or a duration such as 90s or 3m, from {SettingText.Readable(TimeSpan.FromSeconds(from))} to {SettingText.Readable(TimeSpan.FromSeconds(to))}"),
    };

    private static Option<double> Number(string name, string description, double from, double to, double otherwise)
    {
        var option = Number<double>(name, description, from, to);
        option.DefaultValueFactory = _ => otherwise;
        return option;
    }

    private static Option<T> Number<T>(string name, string description, double from, double to) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result => Read<T>(result, SettingText.TryNumber, from, to, string.Create(CultureInfo.InvariantCulture, $"{name} must be a number from {from} to {to}")),
    };

    private static T? Read<T>(ArgumentResult result, SettingReader<double> reader, double from, double to, string problem)
    {
        if (reader(result.Tokens[0].Value, out var value) && value >= from && value <= to)
        {
            return (T)(object)value;
        }

        result.AddError(problem);
        return default;
    }

    // A number alone is seconds here, for that is what traces are in.
    private static bool TrySeconds(string? text, out double seconds)
    {
        if (text is not null && SettingText.TryNumber(text, out seconds))
        {
            return true;
        }

        var valid = SettingText.TryDuration(text ?? "", out var duration);
        seconds = duration.TotalSeconds;
        return valid;
    }

    private static bool TryInstant(string? text, out DateTimeOffset instant) => DateTimeOffset.TryParseExact(
        text,
        ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mmK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"],
        CultureInfo.InvariantCulture,
        DateTimeStyles.AssumeUniversal,
        out instant);

    private static void Together(CommandResult result, Option one, Option other)
    {
        if ((result.GetResult(one) is { Implicit: false }) != (result.GetResult(other) is { Implicit: false }))
        {
            result.AddError($"{one.Name} and {other.Name} go together");
        }
    }
}
