namespace GpuExternalScaler.Configuration;

/// <summary>Reads the operator's file: all of it, with every error at once.</summary>
internal static class ConfigurationFile
{
    /// <summary>Largest file that is read, in bytes: a ConfigMap holds a megabyte at most.</summary>
    public const long LargestBytes = 4L * 1024 * 1024;

    /// <summary>Reads a file's text alone, without the environment.</summary>
    /// <returns>The options, or null with at least one error.</returns>
    public static ScalerOptions? Parse(string yaml, out IReadOnlyList<ConfigurationFinding> errors)
    {
        var reading = Read(yaml, []);
        errors = [.. reading.Errors];
        return reading.Options;
    }

    /// <summary>
    /// Reads and checks a file's text with the environment's values laid over it. A pure function, so that a later reload is
    /// this once more and a swap.
    /// </summary>
    public static ConfigurationReading Read(string yaml, IEnumerable<KeyValuePair<string, string>> environment)
    {
        var findings = new List<ConfigurationFinding>();
        if (YamlTree.Parse(yaml, findings) is not { } map)
        {
            return new ConfigurationReading(null, findings, null);
        }

        map = EnvironmentOverrides.Apply(map, environment, findings);
        var options = Bind(new FileSection(map, "", findings));
        var hasErrors = findings.Any(static finding => !finding.IsWarning);
        return new ConfigurationReading(
            hasErrors ? null : options,
            [.. findings.OrderBy(static finding => finding.Variable is not null).ThenBy(static finding => (finding.Line, finding.Column))],
            map);
    }

    private static ScalerOptions Bind(FileSection root)
    {
        var options = root.Bind(new ScalerOptions(), FileKeys.Server, [.. FileKeys.ConnectionSections, FileKeys.DefaultsSection, FileKeys.WorkloadsSection]);
        if (options.Grpc.Port != 0 && options.Grpc.Equals(options.Http))
        {
            root.Error("listen.http", "must be another port than grpc: KEDA speaks HTTP/2 with prior knowledge, probes do not");
        }

        CheckTls(root);
        options = ConnectionFile.Read(root, options);
        DubiousSettings.Note(root, options);
        return options with { Policies = PolicyFile.Read(root, options) };
    }

    private static void CheckTls(FileSection root)
    {
        if (root.Has(FileKeys.TlsCertFile) != root.Has(FileKeys.TlsKeyFile))
        {
            root.Error(root.Has(FileKeys.TlsCertFile) ? FileKeys.TlsKeyFile : FileKeys.TlsCertFile, "certFile and keyFile go together");
        }
        else if (root.Has(FileKeys.TlsClientCaFile) && !root.Has(FileKeys.TlsCertFile))
        {
            root.Error(FileKeys.TlsClientCaFile, "needs certFile and keyFile: a client shows its certificate over TLS only");
        }
    }
}
