using System.CommandLine;
using System.CommandLine.Parsing;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;

namespace GpuExternalScaler.Commands;

/// <summary><c>show-config</c>: what is in force, and where it comes from.</summary>
internal static class ShowConfigCommand
{
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(10);
    private static readonly HashSet<string> DemandKeys = new(
        new[] { TriggerKeys.Queue, TriggerKeys.QueueRegex }.Concat(TriggerKeys.DemandWithoutQueue).SelectMany(static key => new[] { key, key + "FromEnv" }),
        StringComparer.Ordinal);

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var file = ConfigurationInput.FileOption();
        var workload = new Option<(string Namespace, string Name)?>("--workload")
        {
            Description = "Also show the policy of this ScaledObject, as NAMESPACE/NAME.",
            CustomParser = ReadWorkload,
        };
        var metadata = new Option<KeyValuePair<string, string>[]>("--metadata")
        {
            Description = "What the ScaledObject's trigger says, as KEY=VALUE; may be given several times.",
            CustomParser = ReadMetadata,
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = static _ => [],
        };
        var url = new Option<Uri?>("--url")
        {
            Description = "Ask a server that runs, at its HTTP address such as http://localhost:8080, instead of reading a file.",
            CustomParser = ReadUrl,
        };
        var command = new Command("show-config", "Show the configuration in force, and where each value comes from. Secrets are never shown: only the files that hold them.") { file, workload, metadata, url };
        command.Validators.Add(result =>
        {
            if (result.GetResult(metadata) is { Implicit: false } && result.GetResult(workload) is null)
            {
                result.AddError("--metadata needs --workload");
            }

            if (result.GetResult(url) is not null && (result.GetResult(file) is { Implicit: false } || result.GetResult(metadata) is { Implicit: false }))
            {
                result.AddError("--url asks a server, which has its own file and knows what triggers say: leave out --config and --metadata");
            }
        });
        command.SetAction((result, cancellation) => result.GetValue(url) is { } server ? AskAsync(server, result.GetValue(workload), Console.Out, Console.Error, cancellation) : RunAsync(
            result.GetValue(file)!,
            result.GetValue(workload),
            result.GetValue(metadata)!,
            ConfigurationInput.Environment(),
            Console.Out,
            Console.Error,
            cancellation));
        return command;
    }

    /// <summary>Shows it. Findings, and what is wrong with the metadata, go to <paramref name="error"/>.</summary>
    public static async Task<int> RunAsync(
        FileInfo file,
        (string Namespace, string Name)? workload,
        IReadOnlyList<KeyValuePair<string, string>> metadata,
        IReadOnlyCollection<KeyValuePair<string, string>> environment,
        TextWriter output,
        TextWriter error,
        CancellationToken cancellation)
    {
        if (await ConfigurationInput.ReadAsync(file, environment, error, cancellation) is not { Options: { } options } reading)
        {
            return ExitCode.InvalidInput;
        }

        var text = new StringWriter { NewLine = "\n" };
        ConfigurationText.Write(text, reading);
        if (workload is var (@namespace, name))
        {
            // A policy does not depend on the queue: none has to be given to ask for it.
            var asked = metadata.Any(static pair => DemandKeys.Contains(pair.Key)) ? metadata : [.. metadata, new(TriggerKeys.Queue, "any")];
            var trigger = TriggerMetadata.Parse(@namespace, name, asked, out var problems);
            var policy = trigger is null ? null : options.Policies.Resolve(@namespace, name, trigger.Policy);
            if (trigger is not null)
            {
                // Nor on the broker, where the metadata names none.
                problems = [.. ConnectionRules.Problems(trigger, policy!.Policy, options)
                    .Where(problem => problem.Key != TriggerKeys.RabbitMq || trigger.Connection is not null)
                    .Select(static problem => problem.Sentence)];
            }

            foreach (var problem in problems)
            {
                await error.WriteLineAsync("--metadata: " + problem);
            }

            if (trigger is null || problems.Count > 0)
            {
                return ExitCode.InvalidInput;
            }

            if (trigger.UnknownKeys.Count > 0)
            {
                await error.WriteLineAsync("--metadata: warning: keys that mean nothing here: " + string.Join(", ", trigger.UnknownKeys));
            }

            await text.WriteLineAsync("---");
            ConfigurationText.Write(text, $"{@namespace}/{name}", policy!);
        }

        await output.WriteAsync(text.ToString());
        return ExitCode.Done;
    }

    /// <summary>Shows what a server says.</summary>
    private static async Task<int> AskAsync(Uri server, (string Namespace, string Name)? workload, TextWriter output, TextWriter error, CancellationToken cancellation)
    {
        var query = workload is var (@namespace, name) ? $"?{ConfigurationPage.Workload}={@namespace}/{name}" : "";
        using var client = new HttpClient { Timeout = AskTimeout };
        try
        {
            using var response = await client.GetAsync(new Uri(server, ConfigurationPage.Path + query), cancellation);
            var text = await response.Content.ReadAsStringAsync(cancellation);
            if (response.IsSuccessStatusCode)
            {
                await output.WriteAsync(text);
                return ExitCode.Done;
            }

            await error.WriteLineAsync($"{server}: HTTP {(int)response.StatusCode}: {text.Split('\n')[0]}");
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException && !cancellation.IsCancellationRequested)
        {
            await error.WriteLineAsync($"{server}: {exception.Message}");
        }

        return ExitCode.Failed;
    }

    private static Uri? ReadUrl(ArgumentResult result)
    {
        if (Uri.TryCreate(result.Tokens[0].Value, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" && url.UserInfo.Length == 0)
        {
            return url;
        }

        result.AddError("--url must be http:// or https:// with host and port, without credentials");
        return null;
    }

    private static (string Namespace, string Name)? ReadWorkload(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (WorkloadPattern.TryParse(text, out var pattern) && pattern.IsFullName)
        {
            var slash = text.IndexOf('/', StringComparison.Ordinal);
            return (text[..slash], text[(slash + 1)..]);
        }

        result.AddError("--workload must be NAMESPACE/NAME of a ScaledObject");
        return null;
    }

    private static KeyValuePair<string, string>[] ReadMetadata(ArgumentResult result)
    {
        var pairs = new List<KeyValuePair<string, string>>();
        foreach (var token in result.Tokens)
        {
            var equals = token.Value.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                // Not quoted: it could be a value whose key was forgotten.
                result.AddError("--metadata must be KEY=VALUE");
                return [];
            }

            pairs.Add(new(token.Value[..equals], token.Value[(equals + 1)..]));
        }

        return [.. pairs];
    }
}
