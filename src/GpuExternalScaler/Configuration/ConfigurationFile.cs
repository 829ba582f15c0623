using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Configuration;

/// <summary>Reads the operator's file: all of it, with every error at once.</summary>
internal static class ConfigurationFile
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <summary>
    /// Parses and checks a file's text. A pure function of the text, so that a later reload is this once more and a swap.
    /// </summary>
    /// <returns>The options, or null with at least one error.</returns>
    public static ScalerOptions? Parse(string yaml, out IReadOnlyList<ConfigurationError> errors)
    {
        var found = new List<ConfigurationError>();
        errors = found;
        if (ConfigurationSection.Parse(yaml, found) is not { } root)
        {
            return null;
        }

        var options = new ScalerOptions();
        if (root.Section("listen") is { } listen)
        {
            options = options with { Grpc = listen.EndPoint("grpc", options.Grpc), Http = listen.EndPoint("http", options.Http) };
            if (options.Grpc.Port != 0 && options.Grpc.Equals(options.Http))
            {
                listen.Error("http", "must be another port than grpc: KEDA speaks HTTP/2 with prior knowledge, probes do not");
            }

            listen.RefuseUnknown();
        }

        if (root.Section("rabbitmq") is { } brokers)
        {
            options = options with { RabbitMq = brokers.NamedSections().Select(static named => ReadBroker(named.Name, named.Section)).ToDictionary(static broker => broker.Connection.Name, StringComparer.Ordinal) };
        }

        if (root.Section("limits") is { } limits)
        {
            options = options with
            {
                MaximumWorkloads = limits.Whole("workloads", options.MaximumWorkloads, 1, 1_000_000),
                MaximumMetadataBytes = limits.Whole("metadataBytes", options.MaximumMetadataBytes, 256, 1 << 20),
            };
            limits.RefuseUnknown();
        }

        if (root.Section("evaluation") is { } evaluation)
        {
            options = options with
            {
                EvaluationInterval = evaluation.Duration("interval", options.EvaluationInterval, TimeSpan.FromMilliseconds(50), TimeSpan.FromMinutes(1)),
                ForgetAfter = evaluation.Duration("forgetAfter", options.ForgetAfter, TimeSpan.FromSeconds(1), Day),
            };
            evaluation.RefuseUnknown();
        }

        if (root.Section("log") is { } log)
        {
            options = options with { LogFormat = log.Choice("format", options.LogFormat), LogLevel = log.Choice("level", options.LogLevel) };
            log.RefuseUnknown();
        }

        if (root.Section("defaults") is { } defaults)
        {
            options = options with { Defaults = ReadPolicy(defaults) };
            defaults.RefuseUnknown();
        }

        root.RefuseUnknown();
        found.Sort(static (a, b) => (a.Line, a.Column).CompareTo((b.Line, b.Column)));
        return found.Count == 0 ? options : null;
    }

    private static RabbitMqOptions ReadBroker(string name, ConfigurationSection section)
    {
        var connection = new RabbitMqConnectionOptions { Name = name };
        if (section.Section("metrics") is { } metrics)
        {
            var texts = metrics.Texts("urls");
            var urls = texts.Select(text => metrics.HttpUrl("urls", text)).OfType<Uri>().ToList();
            var dns = metrics.Text("dns");
            HostAndPort? hosts = null;
            if (dns is not null)
            {
                if (HostAndPort.TryParse(dns, out var parsed))
                {
                    hosts = parsed;
                }
                else
                {
                    metrics.Error("dns", "must be a host name and a port, such as rabbitmq-nodes.mq.svc:15692");
                }
            }

            if (texts.Count > 0 == (dns is not null))
            {
                metrics.Error(dns is null ? "urls" : "dns", "give either urls (one for each node) or dns");
            }

            connection = connection with { MetricsUrls = urls, MetricsDns = hosts, MetricsCaFile = metrics.Text("caFile") };
            metrics.RefuseUnknown();
        }

        if (section.Section("management") is { } management)
        {
            var url = management.HttpUrl("url", management.Text("url"));
            var username = management.Text("username");
            var passwordFile = management.Text("passwordFile");
            if (management.Text("url") is null)
            {
                management.Error("url", "is required: the management API's address, such as https://rabbitmq.mq:15671");
            }

            if (username is null != passwordFile is null)
            {
                management.Error(username is null ? "username" : "passwordFile", "username and passwordFile go together");
            }

            connection = connection with
            {
                Management = url is null ? null : new RabbitMqManagementOptions { Url = url, Username = username, PasswordFile = passwordFile, CaFile = management.Text("caFile") },
                ManagementInterval = management.Duration("interval", connection.ManagementInterval, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(10)),
            };
            management.RefuseUnknown();
        }

        var amqp = section.Section("amqp");
        if (section.Section("metrics") is null && section.Section("management") is null && amqp is null)
        {
            section.Error("metrics", "a connection needs metrics (preferred), management or amqp; any one is enough");
        }

        connection = connection with
        {
            Amqp = amqp is null ? null : ReadAmqp(amqp),
            Interval = section.Duration("interval", connection.Interval, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5)),
            StaleAfter = section.Duration("staleAfter", connection.StaleAfter, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)),
            Vhosts = section.Texts("vhosts"),
        };
        if (connection.StaleAfter < 3 * connection.Interval)
        {
            section.Error("staleAfter", "must be at least three intervals, or one late sweep takes every answer away");
        }

        var namespaces = section.Texts("namespaces");
        section.RefuseUnknown();
        return new RabbitMqOptions(connection, namespaces);
    }

    private static RabbitMqAmqpOptions? ReadAmqp(ConfigurationSection section)
    {
        var text = section.Text("url");
        var url = section.AmqpUrl("url", text);
        var username = section.Text("username");
        var passwordFile = section.Text("passwordFile");
        if (text is null)
        {
            section.Error("url", "is required: the broker's address, such as amqps://rabbitmq.mq:5671");
        }

        if (username is null != passwordFile is null)
        {
            section.Error(username is null ? "username" : "passwordFile", "username and passwordFile go together");
        }

        // Read even if there is no URL: every mistake is told at once.
        var options = new RabbitMqAmqpOptions { Url = url ?? new Uri("amqp://localhost") };
        options = options with
        {
            Username = username,
            PasswordFile = passwordFile,
            CaFile = section.Text("caFile"),
            Interval = section.Duration("interval", options.Interval, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1)),
            EventVhost = section.Text("eventVhost") ?? options.EventVhost,
        };
        section.RefuseUnknown();
        return url is null ? null : options;
    }

    private static PolicyOverrides ReadPolicy(ConfigurationSection section)
    {
        var values = new List<KeyValuePair<string, string>>();
        foreach (var key in PolicyKeys.All.Values)
        {
            if (section.Text(key.Name) is not { } text)
            {
                continue;
            }

            if (key.Parse(text) is { } canonical)
            {
                values.Add(new(key.Name, canonical));
            }
            else
            {
                section.Error(key.Name, $"must be {key.Allowed}");
            }
        }

        return new PolicyOverrides(values);
    }
}
