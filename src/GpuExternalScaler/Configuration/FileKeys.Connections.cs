using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Configuration;

/// <summary>The keys of connections to Prometheus, accelerator exporters and model servers.</summary>
internal static partial class FileKeys
{
    private const string CaFileMeaning = "authorities trusted for https; the system's without it";
    private const string ThroughPrometheus = "name of the connection under prometheus that it is read through, whose interval then counts";

    /// <summary>The keys of one Prometheus connection.</summary>
    public static IReadOnlyList<FileKey<PrometheusOptions>> Prometheus { get; } =
    [
        Of<PrometheusOptions>.Value("url", SettingTypes.PrometheusUrl, static o => o.Connection.Url, static (o, v) => o.With(c => c with { Url = v }), "base URL of Prometheus, or of anything that speaks its query API", "the server's address, such as http://prometheus.monitoring:9090"),
        Of<PrometheusOptions>.Value("interval", Duration(1000, 300_000), static o => o.Connection.Interval, static (o, v) => o.With(c => c with { Interval = v }), "time between two sweeps"),
        Of<PrometheusOptions>.Value("staleAfter", Duration(1000, 3_600_000), static o => o.Connection.StaleAfter, static (o, v) => o.With(c => c with { StaleAfter = v }), "age past which samples are not believed"),
        Of<PrometheusOptions>.Value("timeout", Duration(100, 120_000), static o => o.Connection.Timeout, static (o, v) => o.With(c => c with { Timeout = v }), "time allowed for a query"),
        Of<PrometheusOptions>.Value("bearerTokenFile", SettingTypes.Text, static o => o.Connection.BearerTokenFile, static (o, v) => o.With(c => c with { BearerTokenFile = v }), "file with a bearer token, read again before each request; not with basic"),
        Of<PrometheusOptions>.Value("basic.username", SettingTypes.Text, static o => o.Connection.Basic?.Username, static (o, v) => o.WithBasic(b => b with { Username = v }), "user of basic authentication"),
        Of<PrometheusOptions>.Value("basic.passwordFile", SettingTypes.Text, static o => o.Connection.Basic?.PasswordFile, static (o, v) => o.WithBasic(b => b with { PasswordFile = v }), "file with the password, read again before each request"),
        new SecretMapKey<PrometheusOptions>("headers", static o => o.Connection.Headers, static (o, v) => o.With(c => c with { Headers = v }), "headers sent with each request, such as X-Scope-OrgID; their values count as secret"),
        Of<PrometheusOptions>.Value("caFile", SettingTypes.Text, static o => o.Connection.CaFile, static (o, v) => o.With(c => c with { CaFile = v }), CaFileMeaning),
        Of<PrometheusOptions>.Value("certFile", SettingTypes.Text, static o => o.Connection.ClientCertificate?.CertFile, static (o, v) => o.WithCertificate(f => f with { CertFile = v }), "file with the certificate to show to the server and the intermediate ones after it, PEM"),
        Of<PrometheusOptions>.Value("keyFile", SettingTypes.Text, static o => o.Connection.ClientCertificate?.KeyFile, static (o, v) => o.WithCertificate(f => f with { KeyFile = v }), "file with that certificate's private key, PEM, not encrypted"),
        Of<PrometheusOptions>.Value("allowTriggerQueries", SettingTypes.Flag, static o => o.Connection.AllowTriggerQueries, static (o, v) => o.With(c => c with { AllowTriggerQueries = v }), "whether PromQL may come from trigger metadata: who may write a ScaledObject could then read any series"),
        NamespacesOf<PrometheusOptions>(static (o, v) => o with { Namespaces = v }),
    ];

    /// <summary>The keys of one connection to accelerator exporters.</summary>
    public static IReadOnlyList<FileKey<GpuOptions>> Gpu { get; } =
    [
        Of<GpuOptions>.Value("kind", SettingTypes.Choice<GpuKind>(), static o => o.Connection.Kind, static (o, v) => o.With(c => c with { Kind = v }), "whose exporters", "whose exporters they are: dcgm, hami, ascend, amd or gaudi"),
        Of<GpuOptions>.Value(PrometheusSection, SettingTypes.Text, static o => o.Connection.Prometheus, static (o, v) => o.With(c => c with { Prometheus = v }), ThroughPrometheus),
        Of<GpuOptions>.List("exporters", SettingTypes.PageUrl, static o => o.Connection.Exporters, static (o, v) => o.With(c => c with { Exporters = v }), "instead of prometheus: metrics pages of the exporters, whole URLs"),
        Of<GpuOptions>.Value("dns", SettingTypes.HostAndPort, static o => o.Connection.Dns, static (o, v) => o.With(c => c with { Dns = v }), "instead: host:port all of whose addresses are exporters, such as a headless Service"),
        Of<GpuOptions>.Value("interval", SettingTypes.Optional(Duration(1000, 300_000)), static o => o.Connection.Prometheus is null ? o.Connection.Interval : null, static (o, v) => o.With(c => c with { Interval = v ?? c.Interval }), "time between two sweeps when read directly"),
        Of<GpuOptions>.Value("staleAfter", Duration(1000, 3_600_000), static o => o.Connection.StaleAfter, static (o, v) => o.With(c => c with { StaleAfter = v }), "age past which readings are not believed"),
        Of<GpuOptions>.Value("caFile", SettingTypes.Text, static o => o.Connection.CaFile, static (o, v) => o.With(c => c with { CaFile = v }), CaFileMeaning),
        NamespacesOf<GpuOptions>(static (o, v) => o with { Namespaces = v }),
    ];

    /// <summary>The keys of one connection to model servers.</summary>
    public static IReadOnlyList<FileKey<ModelServerOptions>> ModelServers { get; } =
    [
        Of<ModelServerOptions>.Value("kind", SettingTypes.Choice<ModelServerKind>(), static o => o.Connection.Kind, static (o, v) => o.With(c => c with { Kind = v }), "which servers", "which servers they are: vllm, sglang, tgi or triton"),
        Of<ModelServerOptions>.Value(PrometheusSection, SettingTypes.Text, static o => o.Connection.Prometheus, static (o, v) => o.With(c => c with { Prometheus = v }), ThroughPrometheus),
        Of<ModelServerOptions>.List("urls", SettingTypes.PageUrl, static o => o.Connection.Urls, static (o, v) => o.With(c => c with { Urls = v }), "instead of prometheus: metrics pages of the servers, whole URLs"),
        Of<ModelServerOptions>.Value("dns", SettingTypes.HostAndPort, static o => o.Connection.Dns, static (o, v) => o.With(c => c with { Dns = v }), "instead: host:port all of whose addresses are servers, such as a headless Service; each is asked for /metrics"),
        Of<ModelServerOptions>.Value("interval", SettingTypes.Optional(Duration(1000, 300_000)), static o => o.Connection.Prometheus is null ? o.Connection.Interval : null, static (o, v) => o.With(c => c with { Interval = v ?? c.Interval }), "time between two sweeps when read directly"),
        Of<ModelServerOptions>.Value("staleAfter", Duration(1000, 3_600_000), static o => o.Connection.StaleAfter, static (o, v) => o.With(c => c with { StaleAfter = v }), "age past which readings are not believed"),
        Of<ModelServerOptions>.Value("caFile", SettingTypes.Text, static o => o.Connection.CaFile, static (o, v) => o.With(c => c with { CaFile = v }), CaFileMeaning),
        NamespacesOf<ModelServerOptions>(static (o, v) => o with { Namespaces = v }),
    ];

    /// <summary>Ways to read accelerators, of which a connection has exactly one.</summary>
    public static IReadOnlyList<string> GpuWays { get; } = [PrometheusSection, "exporters", "dns"];

    /// <summary>Ways to read model servers, of which a connection has exactly one.</summary>
    public static IReadOnlyList<string> ModelServerWays { get; } = [PrometheusSection, "urls", "dns"];

    /// <summary>Keys of a Prometheus connection that are given together or not at all.</summary>
    public static IReadOnlyList<(string One, string Other)> PrometheusPairs { get; } = [("basic.username", "basic.passwordFile"), ("certFile", "keyFile")];

    /// <summary>A Prometheus connection of which nothing is said but its name.</summary>
    public static PrometheusOptions BlankPrometheus(string name) => new(new PrometheusConnectionOptions { Name = name, Url = new Uri("http://not.configured.invalid") }, []);

    /// <summary>A connection to accelerator exporters of which nothing is said but its name.</summary>
    public static GpuOptions BlankGpu(string name) => new(new GpuConnectionOptions { Name = name }, []);

    /// <summary>A connection to model servers of which nothing is said but its name.</summary>
    public static ModelServerOptions BlankModelServers(string name) => new(new ModelServerConnectionOptions { Name = name }, []);

    private static PrometheusOptions With(this PrometheusOptions options, Func<PrometheusConnectionOptions, PrometheusConnectionOptions> change) =>
        options with { Connection = change(options.Connection) };

    private static PrometheusOptions WithBasic(this PrometheusOptions options, Func<PrometheusBasicCredentials, PrometheusBasicCredentials> change) =>
        options.With(c => c with { Basic = change(c.Basic ?? new PrometheusBasicCredentials { Username = "" }) });

    private static PrometheusOptions WithCertificate(this PrometheusOptions options, Func<ClientCertificateFiles, ClientCertificateFiles> change) =>
        options.With(c => c with { ClientCertificate = change(c.ClientCertificate ?? new ClientCertificateFiles { CertFile = "", KeyFile = "" }) });

    private static GpuOptions With(this GpuOptions options, Func<GpuConnectionOptions, GpuConnectionOptions> change) =>
        options with { Connection = change(options.Connection) };

    private static ModelServerOptions With(this ModelServerOptions options, Func<ModelServerConnectionOptions, ModelServerConnectionOptions> change) =>
        options with { Connection = change(options.Connection) };

    // Keys of different connections are spelt alike: which are meant must be said.
    private static class Of<T>
    {
        public static ValueKey<T, TValue> Value<TValue>(string path, SettingType<TValue> type, Func<T, TValue?> get, Func<T, TValue, T> set, string meaning, string? required = null) =>
            new(path, type, get, set, meaning) { Required = required };

        public static ListKey<T, TValue> List<TValue>(string path, SettingType<TValue> type, Func<T, IReadOnlyList<TValue>> get, Func<T, IReadOnlyList<TValue>, T> set, string meaning) =>
            new(path, type, get, set, meaning, mayBeEmpty: false);
    }
}
