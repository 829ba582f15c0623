namespace GpuExternalScaler.Configuration;

/// <summary>Reads the sections of named connections.</summary>
internal static class ConnectionFile
{
    private const string NeverFresh = "staleAfter must be no less than interval, or every reading is stale before the next";

    /// <summary>The options with the file's connections; mistakes are noted.</summary>
    public static ScalerOptions Read(FileSection root, ScalerOptions options)
    {
        options = options with
        {
            RabbitMq = Named(root, FileKeys.RabbitMqSection, ReadBroker),
            Prometheus = Named(root, FileKeys.PrometheusSection, ReadPrometheus),
        };
        if (options.HistoryPrometheus is { } history && !options.Prometheus.ContainsKey(history))
        {
            root.Error(FileKeys.HistoryPrometheus, NoSuchPrometheus(options.Prometheus));
        }

        return options with
        {
            Gpu = Named(root, FileKeys.GpuSection, (name, section) => ReadGpu(name, section, options.Prometheus)),
            ModelServers = Named(root, FileKeys.ModelServersSection, (name, section) => ReadModelServers(name, section, options.Prometheus)),
        };
    }

    private static Dictionary<string, T> Named<T>(FileSection root, string section, Func<string, FileSection, T> read) =>
        (root.Section(section)?.NamedSections() ?? []).ToDictionary(static named => named.Name, named => read(named.Name, named.Section), StringComparer.Ordinal);

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

        CheckRequired(section, FileKeys.RabbitMq);
        CheckPairs(section, FileKeys.RabbitMqPairs);
        if (options.Connection.StaleAfter < options.Connection.Interval)
        {
            section.Error(section.Has("staleAfter") ? "staleAfter" : "interval", NeverFresh);
        }

        DubiousSettings.Note(section, options);
        return options;
    }

    private static PrometheusOptions ReadPrometheus(string name, FileSection section)
    {
        var options = section.Bind(FileKeys.BlankPrometheus(name), FileKeys.Prometheus);
        CheckRequired(section, FileKeys.Prometheus);
        CheckPairs(section, FileKeys.PrometheusPairs);
        if (options.Connection.StaleAfter < options.Connection.Interval)
        {
            section.Error(section.Has("staleAfter") ? "staleAfter" : "interval", NeverFresh);
        }

        foreach (var problem in options.Connection.Problems())
        {
            // "key: what is wrong with it", or a sentence that begins with the key.
            var key = problem[..problem.IndexOfAny([':', ' '])];
            section.Error(key, problem[key.Length] == ':' ? problem[(key.Length + 2)..] : problem);
        }

        DubiousSettings.Note(section, options);
        return options;
    }

    private static GpuOptions ReadGpu(string name, FileSection section, IReadOnlyDictionary<string, PrometheusOptions> prometheus)
    {
        var options = section.Bind(FileKeys.BlankGpu(name), FileKeys.Gpu);
        CheckRequired(section, FileKeys.Gpu);
        CheckWay(section, FileKeys.GpuWays, options.Connection.Prometheus, prometheus, options.Connection.Interval, options.Connection.StaleAfter);
        DubiousSettings.NoteCaFile(section, options.Connection.Exporters, FileKeys.GpuWays[1]);
        return options;
    }

    private static ModelServerOptions ReadModelServers(string name, FileSection section, IReadOnlyDictionary<string, PrometheusOptions> prometheus)
    {
        var options = section.Bind(FileKeys.BlankModelServers(name), FileKeys.ModelServers);
        CheckRequired(section, FileKeys.ModelServers);
        CheckWay(section, FileKeys.ModelServerWays, options.Connection.Prometheus, prometheus, options.Connection.Interval, options.Connection.StaleAfter);
        DubiousSettings.NoteCaFile(section, options.Connection.Urls, FileKeys.ModelServerWays[1]);
        return options;
    }

    private static string NoSuchPrometheus(IReadOnlyDictionary<string, PrometheusOptions> prometheus) => prometheus.Count == 0
        ? "there is no connection under prometheus"
        : $"no such connection under prometheus; there are: {string.Join(", ", prometheus.Keys.Order(StringComparer.Ordinal))}";

    private static void CheckRequired<T>(FileSection section, IReadOnlyList<FileKey<T>> keys)
    {
        foreach (var key in keys)
        {
            if (key.Required is { } what && section.HasSectionOf(key.Path) && !section.Has(key.Path))
            {
                section.Error(key.Path, "is required: " + what);
            }
        }
    }

    private static void CheckPairs(FileSection section, IReadOnlyList<(string One, string Other)> pairs)
    {
        foreach (var (one, other) in pairs)
        {
            if (section.Has(one) != section.Has(other))
            {
                section.Error(section.Has(one) ? other : one, $"{LastOf(one)} and {LastOf(other)} go together");
            }
        }

        static string LastOf(string path) => path[(path.LastIndexOf('.') + 1)..];
    }

    /// <summary>Exactly one way to read: through a Prometheus that there is, or directly.</summary>
    private static void CheckWay(
        FileSection section, IReadOnlyList<string> ways, string? through, IReadOnlyDictionary<string, PrometheusOptions> prometheus, TimeSpan interval, TimeSpan staleAfter)
    {
        var given = ways.Where(section.Has).ToList();
        if (given.Count != 1)
        {
            section.Error(given.Count == 0 ? ways[0] : given[1], $"give exactly one of {ways[0]} (the name of a connection), {ways[1]} and {ways[2]}");
            return;
        }

        if (through is null)
        {
            CheckStaleness(interval, "interval");
        }
        else if (!prometheus.TryGetValue(through, out var connection))
        {
            section.Error(FileKeys.PrometheusSection, NoSuchPrometheus(prometheus));
        }
        else
        {
            CheckStaleness(connection.Connection.Interval, FileKeys.PrometheusSection);
        }

        if (through is not null && section.Has("interval"))
        {
            section.Error("interval", "does not count with prometheus, whose own interval does; leave it out");
        }

        void CheckStaleness(TimeSpan between, string key)
        {
            var at = section.Has("staleAfter") ? "staleAfter" : key;
            if (staleAfter < between)
            {
                section.Error(at, key == FileKeys.PrometheusSection
                    ? "staleAfter must be no less than the interval of the prometheus connection, or every reading is stale before the next"
                    : NeverFresh);
            }
            else
            {
                DubiousSettings.NoteStaleness(section, at, between, staleAfter);
            }
        }
    }
}
