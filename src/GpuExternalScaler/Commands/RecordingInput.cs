using System.CommandLine;
using System.CommandLine.Parsing;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Recording;

namespace GpuExternalScaler.Commands;

/// <summary>Where decisions are to be recorded, as commands are given it.</summary>
internal sealed class RecordingInput
{
    /// <summary>The file.</summary>
    public Option<FileInfo?> File { get; } = new("--record")
    {
        Description = "Record what every decision rests on, for replay. An older half is kept beside it as FILE.1.",
        HelpName = "FILE",
    };

    /// <summary>Most bytes of both.</summary>
    public Option<long> Limit { get; } = new("--record-limit")
    {
        Description = "Most bytes of both files together. [default: 256MB]",
        HelpName = "BYTES",
        DefaultValueFactory = static _ => RecordingOptions.DefaultLimit,
        CustomParser = static result => ReadLimit(result),
    };

    /// <summary>What was asked for; null for nothing.</summary>
    public RecordingOptions? Read(ParseResult result) =>
        result.GetValue(File) is { } file ? new RecordingOptions(file.FullName, result.GetValue(Limit)) : null;

    private static long ReadLimit(ArgumentResult result)
    {
        // 256MB is what people write, 256M what Kubernetes does.
        var text = result.Tokens[0].Value;
        if (SettingText.TryBytes(text.EndsWith('B') ? text[..^1] : text, out var bytes) && bytes >= RecordingOptions.SmallestLimit)
        {
            return bytes;
        }

        result.AddError("--record-limit must be a number of bytes such as 256MB or 1Gi, at least 64Ki");
        return default;
    }
}
