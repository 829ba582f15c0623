using System.Collections;
using System.CommandLine;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Reload;

namespace GpuExternalScaler.Commands;

/// <summary>The configuration file as commands are given it.</summary>
internal static class ConfigurationInput
{
    private const string DefaultFile = "/etc/gpu-external-scaler/scaler.yaml";

    /// <summary>The option naming the configuration file.</summary>
    public static Option<FileInfo> FileOption() => new("--config")
    {
        Description = "The configuration file.",
        DefaultValueFactory = static _ => new FileInfo(DefaultFile),
    };

    /// <summary>The environment variables that lay values over a file.</summary>
    public static IReadOnlyList<KeyValuePair<string, string>> Environment() =>
        [.. System.Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(static entry => KeyValuePair.Create((string)entry.Key, (string?)entry.Value ?? ""))];

    /// <summary>Reads and checks a file, and tells every finding with the file's name; null when it cannot be opened.</summary>
    public static async Task<ConfigurationReading?> ReadAsync(FileInfo file, IReadOnlyCollection<KeyValuePair<string, string>> environment, TextWriter findings, CancellationToken cancellation) =>
        (await OpenAsync(file, environment, findings, cancellation)).Reading;

    /// <summary>The same with what a later reading of the file is compared with.</summary>
    public static async Task<ConfigurationOrigin> OpenAsync(
        FileInfo file, IReadOnlyCollection<KeyValuePair<string, string>> environment, TextWriter findings, CancellationToken cancellation)
    {
        var content = await FileContent.ReadAsync(file.FullName, ConfigurationFile.LargestBytes, cancellation);
        if (content.Problem is { } problem)
        {
            await findings.WriteLineAsync($"{file}: cannot be read ({problem})");
            return new ConfigurationOrigin(file.FullName, environment, content, Reading: null);
        }

        var reading = ConfigurationFile.Read(content.Text, environment);
        foreach (var finding in reading.Findings)
        {
            await WriteAsync(file, finding, findings);
        }

        return new ConfigurationOrigin(file.FullName, environment, content, reading);
    }

    /// <summary>Tells a finding, with the name of the file that it is in.</summary>
    public static Task WriteAsync(FileInfo file, ConfigurationFinding finding, TextWriter findings) =>
        findings.WriteLineAsync(finding.Variable is null ? $"{file}: {finding}" : finding.ToString());
}
