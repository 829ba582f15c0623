using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Configuration;

/// <summary>Reads the operator's file: all of it, with every error at once.</summary>
internal static class ConfigurationFile
{
    /// <summary>Reads a file's text alone, as <see cref="Read"/> does.</summary>
    /// <returns>The options, or null with at least one error.</returns>
    public static ScalerOptions? Parse(string yaml, out IReadOnlyList<ConfigurationFinding> errors)
    {
        var reading = Read(yaml);
        errors = [.. reading.Errors];
        return reading.Options;
    }

    /// <summary>Reads and checks a file's text. A pure function, so that a later reload is this once more and a swap.</summary>
    public static ConfigurationReading Read(string yaml)
    {
        var findings = new List<ConfigurationFinding>();
        if (YamlTree.Parse(yaml, findings) is not { } map)
        {
            return new ConfigurationReading(null, findings, null);
        }

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

        var brokers = root.Section(FileKeys.RabbitMqSection)?.NamedSections()
            .Select(static named => ReadBroker(named.Name, named.Section))
            .ToDictionary(static broker => broker.Connection.Name, StringComparer.Ordinal);
        options = options with { RabbitMq = brokers ?? options.RabbitMq };

        DubiousSettings.Note(root, options);
        return options with { Policies = PolicyFile.Read(root, options) };
    }

    private static RabbitMqOptions ReadBroker(string name, FileSection section)
    {
        var options = section.Bind(new RabbitMqOptions(new RabbitMqConnectionOptions { Name = name }, []), FileKeys.RabbitMq);
        if (!section.Has("metrics") && !section.Has("management") && !section.Has("amqp"))
        {
            section.Error("metrics", "a connection needs metrics (preferred), management or amqp; any one is enough");
        }

        if (section.HasSection("metrics") && section.Has("metrics.urls") == section.Has("metrics.dns"))
        {
            section.Error(section.Has("metrics.dns") ? "metrics.dns" : "metrics.urls", "give either urls (one for each node) or dns");
        }

        RequireEndpoint(section, "management", "the management API's address, such as https://rabbitmq.mq:15671");
        RequireEndpoint(section, "amqp", "the broker's address, such as amqps://rabbitmq.mq:5671");
        if (options.Connection.StaleAfter < options.Connection.Interval)
        {
            section.Error(section.Has("staleAfter") ? "staleAfter" : "interval", "staleAfter must be no less than interval, or every reading is stale before the next");
        }

        DubiousSettings.Note(section, options);
        return options;
    }

    private static void RequireEndpoint(FileSection section, string endpoint, string url)
    {
        if (!section.HasSection(endpoint))
        {
            return;
        }

        if (!section.Has(endpoint + ".url"))
        {
            section.Error(endpoint + ".url", "is required: " + url);
        }

        var (hasUser, hasPassword) = (section.Has(endpoint + ".username"), section.Has(endpoint + ".passwordFile"));
        if (hasUser != hasPassword)
        {
            section.Error(endpoint + (hasUser ? ".passwordFile" : ".username"), "username and passwordFile go together");
        }
    }
}
