using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Configuration;

/// <summary>Every key of the operator's file but the policy keys, which are <see cref="PolicyKeys"/>.</summary>
internal static partial class FileKeys
{
    /// <summary>The section of named RabbitMQ connections.</summary>
    public const string RabbitMqSection = "rabbitmq";

    /// <summary>The section of named Prometheus connections.</summary>
    public const string PrometheusSection = "prometheus";

    /// <summary>The section of named connections to accelerator exporters.</summary>
    public const string GpuSection = "gpu";

    /// <summary>The section of named connections to model servers.</summary>
    public const string ModelServersSection = "modelServers";

    /// <summary>The section of policy keys for every workload.</summary>
    public const string DefaultsSection = "defaults";

    /// <summary>The section of policy keys for some workloads.</summary>
    public const string WorkloadsSection = "workloads";

    /// <summary>The gRPC port's certificate.</summary>
    public const string TlsCertFile = "listen.tls.certFile";

    /// <summary>Its private key.</summary>
    public const string TlsKeyFile = "listen.tls.keyFile";

    /// <summary>The authorities of its clients.</summary>
    public const string TlsClientCaFile = "listen.tls.clientCaFile";

    /// <summary>Where the past is looked up.</summary>
    public const string HistoryPrometheus = "history.prometheus";

    // Who may use a connection.
    private const string NamespacesKey = "namespaces";

    private static readonly TlsOptions BlankTls = new("", "", null);

    // A placeholder while the key that holds the address is still to be read; it is required.
    private static readonly Uri NoUrl = new("amqp://not.configured.invalid");
    private static readonly RabbitMqAmqpOptions BlankAmqp = new() { Url = NoUrl };

    /// <summary>The sections of named connections.</summary>
    public static IReadOnlyList<string> ConnectionSections { get; } = [RabbitMqSection, PrometheusSection, GpuSection, ModelServersSection];

    /// <summary>The keys of the server itself.</summary>
    public static IReadOnlyList<FileKey<ScalerOptions>> Server { get; } =
    [
        Value("listen.grpc", SettingTypes.EndPoint, static o => o.Grpc, static (o, v) => o with { Grpc = v }, "where KEDA connects", fixedAtStart: true),
        Value("listen.http", SettingTypes.EndPoint, static o => o.Http, static (o, v) => o with { Http = v }, "probes and metrics", fixedAtStart: true),
        Value(TlsCertFile, SettingTypes.Text, static o => o.Tls?.CertFile, static (o, v) => o.WithTls(t => t with { CertFile = v }), "TLS on the gRPC port: file with its certificate and the intermediate ones after it, PEM", fixedAtStart: true),
        Value(TlsKeyFile, SettingTypes.Text, static o => o.Tls?.KeyFile, static (o, v) => o.WithTls(t => t with { KeyFile = v }), "file with the certificate's private key, PEM, not encrypted", fixedAtStart: true),
        Value(TlsClientCaFile, SettingTypes.Text, static o => o.Tls?.ClientCaFile, static (o, v) => o.WithTls(t => t with { ClientCaFile = v }), "file with the authorities of clients, PEM; with it only clients with a certificate of theirs are let in", fixedAtStart: true),
        Value(HistoryPrometheus, SettingTypes.Text, static o => o.HistoryPrometheus, static (o, v) => o with { HistoryPrometheus = v }, "name of the connection under prometheus that scrapes this server: fills in what was before a start, and tells what arrived in the weeks before"),
        Value("limits.workloads", SettingTypes.Whole(1, 1_000_000), static o => o.MaximumWorkloads, static (o, v) => o with { MaximumWorkloads = v }, "most workloads at once", fixedAtStart: true),
        Value("limits.metadataBytes", SettingTypes.Whole(256, 1 << 20), static o => o.MaximumMetadataBytes, static (o, v) => o with { MaximumMetadataBytes = v }, "most bytes of keys and values in one trigger", fixedAtStart: true),
        Value("evaluation.interval", Duration(50, 60_000), static o => o.EvaluationInterval, static (o, v) => o with { EvaluationInterval = v }, "time between two evaluations of every workload"),
        Value("evaluation.forgetAfter", Duration(1000, 86_400_000), static o => o.ForgetAfter, static (o, v) => o with { ForgetAfter = v }, "a workload that nobody asked about for so long is forgotten"),
        Value("reload.interval", Duration(100, 3_600_000), static o => o.ReloadInterval, static (o, v) => o with { ReloadInterval = v }, "time within which a change of this file, or of a certificate, takes effect"),
        Value("log.format", SettingTypes.Choice<LogFormat>(), static o => o.LogFormat, static (o, v) => o with { LogFormat = v }, "text, json, or auto: text on a terminal and JSON otherwise", fixedAtStart: true),
        Value("log.level", SettingTypes.Choice<LogLevel>(), static o => o.LogLevel, static (o, v) => o with { LogLevel = v }, "least severe level logged"),
    ];

    /// <summary>The keys of one RabbitMQ connection.</summary>
    public static IReadOnlyList<FileKey<RabbitMqOptions>> RabbitMq { get; } =
    [
        List("metrics.urls", SettingTypes.HttpUrl, static o => o.Connection.MetricsUrls, static (o, v) => o.With(c => c with { MetricsUrls = v }), "base URL of the Prometheus plugin of each node"),
        Value("metrics.dns", SettingTypes.HostAndPort, static o => o.Connection.MetricsDns, static (o, v) => o.With(c => c with { MetricsDns = v }), "instead of urls: host:port all of whose addresses are nodes, such as a headless Service"),
        Value("metrics.caFile", SettingTypes.Text, static o => o.Connection.MetricsCaFile, static (o, v) => o.With(c => c with { MetricsCaFile = v }), "authorities trusted for https; the system's without it"),
        Value("management.url", SettingTypes.HttpUrl, static o => o.Connection.Management?.Url, static (o, v) => o.WithManagement(m => m with { Url = v }), "the management API", "the management API's address, such as https://rabbitmq.mq:15671"),
        Value("management.username", SettingTypes.Text, static o => o.Connection.Management?.Username, static (o, v) => o.WithManagement(m => m with { Username = v }), "its user"),
        Value("management.passwordFile", SettingTypes.Text, static o => o.Connection.Management?.PasswordFile, static (o, v) => o.WithManagement(m => m with { PasswordFile = v }), "file with its password, read again before each request"),
        Value("management.caFile", SettingTypes.Text, static o => o.Connection.Management?.CaFile, static (o, v) => o.WithManagement(m => m with { CaFile = v }), "authorities trusted for https; the system's without it"),
        Value("management.interval", Duration(100, 600_000), static o => o.Connection.ManagementInterval, static (o, v) => o.With(c => c with { ManagementInterval = v }), "time between two reads of the list"),
        Value("amqp.url", SettingTypes.AmqpUrl, static o => o.Connection.Amqp?.Url, static (o, v) => o.WithAmqp(a => a with { Url = v }), "amqp:// or amqps:// with host and port alone", "the broker's address, such as amqps://rabbitmq.mq:5671"),
        Value("amqp.username", SettingTypes.Text, static o => o.Connection.Amqp?.Username, static (o, v) => o.WithAmqp(a => a with { Username = v }), "its user; guest without it"),
        Value("amqp.passwordFile", SettingTypes.Text, static o => o.Connection.Amqp?.PasswordFile, static (o, v) => o.WithAmqp(a => a with { PasswordFile = v }), "file with its password, followed while connected"),
        Value("amqp.caFile", SettingTypes.Text, static o => o.Connection.Amqp?.CaFile, static (o, v) => o.WithAmqp(a => a with { CaFile = v }), "authorities trusted for amqps; the system's without it"),
        Value("amqp.interval", Duration(100, 60_000), static o => (o.Connection.Amqp ?? BlankAmqp).Interval, static (o, v) => o.WithAmqp(a => a with { Interval = v }), "time between two looks at the queues worth watching"),
        Value("amqp.eventVhost", SettingTypes.Text, static o => (o.Connection.Amqp ?? BlankAmqp).EventVhost, static (o, v) => o.WithAmqp(a => a with { EventVhost = v }), "virtual host of the exchange amq.rabbitmq.event"),
        Value("interval", Duration(100, 300_000), static o => o.Connection.Interval, static (o, v) => o.With(c => c with { Interval = v }), "time between two sweeps of the metrics, or of declares that stand in for them"),
        Value("staleAfter", Duration(1000, 3_600_000), static o => o.Connection.StaleAfter, static (o, v) => o.With(c => c with { StaleAfter = v }), "age past which readings are not believed"),
        List("vhosts", SettingTypes.Text, static o => o.Connection.Vhosts, static (o, v) => o.With(c => c with { Vhosts = v }), "virtual hosts to read; all without it"),
        NamespacesOf<RabbitMqOptions>(static (o, v) => o with { Namespaces = v }),
    ];

    /// <summary>Sections of a RabbitMQ connection of which it needs one.</summary>
    public static IReadOnlyList<string> RabbitMqEndpoints { get; } = ["metrics", "management", "amqp"];

    /// <summary>Keys of a RabbitMQ connection of which their section needs one, and not both.</summary>
    public static (string One, string Other) RabbitMqAlternatives => ("metrics.urls", "metrics.dns");

    /// <summary>Keys of a RabbitMQ connection that are given together or not at all.</summary>
    public static IReadOnlyList<(string One, string Other)> RabbitMqPairs { get; } =
    [
        ("management.username", "management.passwordFile"),
        ("amqp.username", "amqp.passwordFile"),
    ];

    /// <summary>A RabbitMQ connection of which nothing is said but its name.</summary>
    public static RabbitMqOptions BlankRabbitMq(string name) => new(new RabbitMqConnectionOptions { Name = name }, []);

    /// <summary>Whether two connections are reached and read alike, whoever may use them.</summary>
    public static bool AreSameConnection<T>(this IReadOnlyList<FileKey<T>> keys, T one, T other) => keys.All(key => key.Path == NamespacesKey || key.IsSame(one, other));

    private static ValueKey<ScalerOptions, TValue> Value<TValue>(string path, SettingType<TValue> type, Func<ScalerOptions, TValue?> get, Func<ScalerOptions, TValue, ScalerOptions> set, string meaning, bool fixedAtStart = false) =>
        new(path, type, get, set, meaning) { IsFixedAtStart = fixedAtStart };

    private static ValueKey<RabbitMqOptions, TValue> Value<TValue>(string path, SettingType<TValue> type, Func<RabbitMqOptions, TValue?> get, Func<RabbitMqOptions, TValue, RabbitMqOptions> set, string meaning, string? required = null) =>
        new(path, type, get, set, meaning) { Required = required };

    private static ListKey<RabbitMqOptions, TValue> List<TValue>(string path, SettingType<TValue> type, Func<RabbitMqOptions, IReadOnlyList<TValue>> get, Func<RabbitMqOptions, IReadOnlyList<TValue>, RabbitMqOptions> set, string meaning, bool mayBeEmpty = true) =>
        new(path, type, get, set, meaning, mayBeEmpty);

    // Without the key everybody may: nobody who writes a list of none means that.
    private static ListKey<T, string> NamespacesOf<T>(Func<T, IReadOnlyList<string>, T> set)
        where T : ConnectionOptions =>
        new(NamespacesKey, SettingTypes.Namespaces, static o => o.Namespaces, set, "namespaces whose triggers may use the connection, * matching any characters; all without it", mayBeEmpty: false);

    private static SettingType<TimeSpan> Duration(double fromMilliseconds, double toMilliseconds) =>
        SettingTypes.Duration(TimeSpan.FromMilliseconds(fromMilliseconds), TimeSpan.FromMilliseconds(toMilliseconds));

    private static ScalerOptions WithTls(this ScalerOptions options, Func<TlsOptions, TlsOptions> change) =>
        options with { Tls = change(options.Tls ?? BlankTls) };

    private static RabbitMqOptions With(this RabbitMqOptions options, Func<RabbitMqConnectionOptions, RabbitMqConnectionOptions> change) =>
        options with { Connection = change(options.Connection) };

    private static RabbitMqOptions WithManagement(this RabbitMqOptions options, Func<RabbitMqManagementOptions, RabbitMqManagementOptions> change) =>
        options.With(c => c with { Management = change(c.Management ?? new RabbitMqManagementOptions { Url = NoUrl }) });

    private static RabbitMqOptions WithAmqp(this RabbitMqOptions options, Func<RabbitMqAmqpOptions, RabbitMqAmqpOptions> change) =>
        options.With(c => c with { Amqp = change(c.Amqp ?? BlankAmqp) });
}
