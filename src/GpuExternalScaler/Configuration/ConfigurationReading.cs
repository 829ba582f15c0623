namespace GpuExternalScaler.Configuration;

/// <summary>What came of reading a configuration.</summary>
/// <param name="Options">The options; null when there is an error.</param>
/// <param name="Findings">Errors and warnings, in the order of the file; those of environment variables last.</param>
/// <param name="Root">The file with the environment's values laid over it; null when it is no mapping.</param>
internal sealed record ConfigurationReading(ScalerOptions? Options, IReadOnlyList<ConfigurationFinding> Findings, YamlMap? Root)
{
    /// <summary>What keeps it from being served with.</summary>
    public IEnumerable<ConfigurationFinding> Errors => Findings.Where(static finding => !finding.IsWarning);

    /// <summary>Where the value at a path comes from: a line, a variable, or built in.</summary>
    public string OriginOf(ReadOnlySpan<string> path) => Root?.Find(path) switch
    {
        null or YamlText { IsEmpty: true } => "built-in",
        { Variable: { } variable } => variable,
        var part => $"line {part.Line}",
    };

    /// <summary>An error found later at a key that is given: what it names cannot be used.</summary>
    public ConfigurationFinding FindingAt(string path, string problem)
    {
        var part = Root?.Find(path.Split('.'));
        return new ConfigurationFinding(path, part?.Line ?? 1, part?.Column ?? 1, problem) { Variable = part?.Variable };
    }
}
