using System.Globalization;

namespace GpuExternalScaler.Configuration;

/// <summary>One thing wrong with a configuration, or dubious about it.</summary>
/// <param name="Path">The key, such as <c>rabbitmq.main.interval</c>.</param>
/// <param name="Line">Line, from 1.</param>
/// <param name="Column">Column, from 1.</param>
/// <param name="Problem">What is wrong and what is allowed. Holds no value: it could be a secret.</param>
internal sealed record ConfigurationFinding(string Path, long Line, long Column, string Problem)
{
    /// <summary>The environment variable at fault, rather than a place in the file; null for the file.</summary>
    public string? Variable { get; init; }

    /// <summary>Whether it can be served with all the same.</summary>
    public bool IsWarning { get; init; }

    /// <inheritdoc/>
    public override string ToString()
    {
        var severity = IsWarning ? "warning: " : "";
        var subject = Path.Length > 0 ? Path + ": " : "";
        return Variable is null
            ? string.Create(CultureInfo.InvariantCulture, $"line {Line}, column {Column}: {severity}{subject}{Problem}")
            : $"environment variable {Variable}: {severity}{Problem}";
    }
}
