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
        var options = root.Bind(new ScalerOptions(), FileKeys.Server, FileKeys.RabbitMqSection, FileKeys.DefaultsSection, FileKeys.WorkloadsSection);
        if (options.Grpc.Port != 0 && options.Grpc.Equals(options.Http))
        {
            root.Error("listen.http", "must be another port than grpc: KEDA speaks HTTP/2 with prior knowledge, probes do not");
        }

        CheckTls(root);
        var brokers = root.Section(FileKeys.RabbitMqSection)?.NamedSections()
            .Select(static named => ReadBroker(named.Name, named.Section))
            .ToDictionary(static broker => broker.Connection.Name, StringComparer.Ordinal);
        options = options with { RabbitMq = brokers ?? options.RabbitMq };

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

    private static RabbitMqOptions ReadBroker(string name, FileSection section)
    {
        var options = section.Bind(FileKeys.BlankRabbitMq(name), FileKeys.RabbitMq);
        if (!FileKeys.RabbitMqEndpoints.Any(section.Has))
        {
            section.Error(FileKeys.RabbitMqEndpoints[0], "a connection needs metrics (preferred), management or amqp; any one is enough");
        }

        var (one, other) = FileKeys.RabbitMqAlternatives;
        if (section.HasSectionOf(one) && section.Has(one) == section.Has(other))
        {
            section.Error(section.Has(other) ? other : one, "give either urls (one for each node) or dns");
        }

        foreach (var key in FileKeys.RabbitMq)
        {
            if (key.Required is { } what && section.HasSectionOf(key.Path) && !section.Has(key.Path))
            {
                section.Error(key.Path, "is required: " + what);
            }
        }

        foreach (var (username, passwordFile) in FileKeys.RabbitMqPairs)
        {
            if (section.Has(username) != section.Has(passwordFile))
            {
                section.Error(section.Has(username) ? passwordFile : username, "username and passwordFile go together");
            }
        }

        if (options.Connection.StaleAfter < options.Connection.Interval)
        {
            section.Error(section.Has("staleAfter") ? "staleAfter" : "interval", "staleAfter must be no less than interval, or every reading is stale before the next");
        }

        DubiousSettings.Note(section, options);
        return options;
    }
}
