using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using GpuExternalScaler.IntegrationTests.Servers;
using RabbitMQ.Client;

namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>How often the broker looks at itself. RabbitMQ's own defaults of 5 s would make every test wait for them.</summary>
public sealed record RabbitMqBrokerOptions
{
    /// <summary>collect_statistics_interval: how old the figures of a classic queue may be.</summary>
    public TimeSpan StatisticsInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>quorum_tick_interval: how old the figures of a quorum queue may be.</summary>
    public TimeSpan QuorumTick { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Interval of the samples behind the management list's rates; whole seconds.</summary>
    public TimeSpan SampleInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>rabbitmq_event_exchange, for tests that listen to consumer.created.</summary>
    public bool EventExchange { get; init; }

    /// <summary>Further lines of rabbitmq.conf.</summary>
    public IReadOnlyList<string> Configuration { get; init; } = [];

    /// <summary>
    /// net_ticktime: a node that hangs with its connections open is noticed by the others after this long, or a quarter
    /// more. RabbitMQ's own default is 60 s.
    /// </summary>
    public TimeSpan NetTick { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Whether certificate files are read for each handshake; otherwise a change shows within two minutes.</summary>
    public bool RereadsCertificates { get; init; }
}

/// <summary>What a node of a cluster has in common with the others.</summary>
/// <param name="NodeName">Its own name.</param>
/// <param name="Epmd">Where the others find it.</param>
/// <param name="Cookie">What they know each other by.</param>
public sealed record RabbitMqMembership(string NodeName, Epmd Epmd, string Cookie);

/// <summary>
/// A RabbitMQ node of its own: loopback only, free ports, own epmd, own folders, nothing in common with a broker that
/// may be installed beside it. Ports and data stay the same from one start to the next.
/// </summary>
public sealed class RabbitMqBroker : IAsyncDisposable
{
    public const string AdminUser = "admin";
    public const string AdminPassword = "admin-password";

    /// <summary>Tagged management, with empty permissions: the least that can read (T6).</summary>
    public const string ScalerUser = "scaler";
    public const string ScalerPassword = "s3cret-of-the-scaler";

    // A start takes some four seconds on an idle machine with two cores.
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(60);

    private static readonly string[] PluginsUsed =
    [
        "rabbitmq_event_exchange", "rabbitmq_management", "rabbitmq_management_agent", "rabbitmq_prelaunch",
        "rabbitmq_prometheus", "rabbitmq_web_dispatch",
    ];

    private readonly TemporaryFolder _folder;
    private readonly string _serverScript;
    private readonly Dictionary<string, string?> _environment;
    private readonly RabbitMqMembership? _membership;
    private readonly Epmd _epmd;
    private ChildProcess? _node;

    public RabbitMqBroker(
        RabbitMqInstallation installation, RabbitMqBrokerOptions? options = null, RabbitMqMembership? membership = null)
    {
        options ??= new RabbitMqBrokerOptions();
        Installation = installation;
        _membership = membership;
        _epmd = membership?.Epmd ?? new Epmd();
        // An address, because a bare container may have no /etc/hosts to find localhost in.
        NodeName = membership?.NodeName ?? $"rabbit-{AmqpPort}@127.0.0.1";
        _folder = new TemporaryFolder("broker");
        ScalerPasswordFile = _folder.Write("scaler-password", ScalerPassword);
        AdminPasswordFile = _folder.Write("admin-password", AdminPassword);
        _serverScript = LinkServer();
        _environment = WriteConfiguration(options);
        Management = CreateHttpClient(ManagementUri, AdminUser, AdminPassword);
        ManagementAsScaler = CreateHttpClient(ManagementUri, ScalerUser, ScalerPassword);
        Metrics = new HttpClient { BaseAddress = MetricsUri, Timeout = TimeSpan.FromSeconds(10) };
    }

    public RabbitMqInstallation Installation { get; }

    public string NodeName { get; }

    public int AmqpPort { get; } = LoopbackPorts.Reserve();

    public int ManagementPort { get; } = LoopbackPorts.Reserve();

    public int MetricsPort { get; } = LoopbackPorts.Reserve();

    public Uri AmqpUri => new($"amqp://127.0.0.1:{AmqpPort}");

    public Uri ManagementUri => new($"http://127.0.0.1:{ManagementPort}");

    public Uri MetricsUri => new($"http://127.0.0.1:{MetricsPort}");

    public string ScalerPasswordFile { get; }

    public string AdminPasswordFile { get; }

    /// <summary>The management API as administrator.</summary>
    public HttpClient Management { get; }

    /// <summary>The management API as the least-privileged user.</summary>
    public HttpClient ManagementAsScaler { get; }

    /// <summary>The Prometheus plugin.</summary>
    public HttpClient Metrics { get; }

    /// <summary>How long the last start took, until everything answered.</summary>
    public TimeSpan StartTime { get; private set; }

    public bool IsRunning => _node is { HasExited: false };

    /// <summary>The id of the node's beam process.</summary>
    public int ProcessId => Node.Id;

    private ChildProcess Node => _node ?? throw new InvalidOperationException("The broker was not started.");

    public static async Task<RabbitMqBroker> StartNewAsync(
        RabbitMqInstallation installation, RabbitMqBrokerOptions? options = null)
    {
        var broker = new RabbitMqBroker(installation, options);
        try
        {
            await broker.StartAsync();
            return broker;
        }
        catch
        {
            await broker.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the node, with the data of its last run if there was one, and waits until all its ports serve.</summary>
    public async Task StartAsync()
    {
        if (IsRunning)
        {
            throw new InvalidOperationException("The broker is running already.");
        }

        var start = TimeProvider.System.GetTimestamp();
        if (_node is not null)
        {
            await _node.DisposeAsync();
        }

        _epmd.Start();
        var complete = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _node = Installation.Start(
            _serverScript,
            [],
            _environment,
            _folder.Path,
            line =>
            {
                if (line.Contains("Server startup complete", StringComparison.Ordinal))
                {
                    complete.TrySetResult();
                }
            });
        await Eventually.SeesAsync(
            () => Task.FromResult(complete.Task.IsCompleted || _node.HasExited),
            ready => ready,
            "RabbitMQ to start",
            StartLimit,
            () => _node.Tail());
        if (!complete.Task.IsCompleted)
        {
            throw new InvalidOperationException($"RabbitMQ did not start. {_node.Tail(200)}");
        }

        await WaitUntilServingAsync();
        StartTime = TimeProvider.System.GetElapsedTime(start);
    }

    /// <summary>Stops the node as an operator would. Erlang takes some five seconds over it.</summary>
    public async Task StopAsync()
    {
        Node.Signal(ProcessSignal.Terminate);
        await Node.WaitForExitAsync(StopLimit);
        await Node.KillTreeAsync();
    }

    /// <summary>SIGKILL: connections break, nothing is flushed.</summary>
    public async Task KillAsync()
    {
        Node.Signal(ProcessSignal.Kill);
        await Node.KillTreeAsync();
    }

    /// <summary>SIGSTOP: every connection stays open and nothing answers.</summary>
    public void Pause() => Node.Signal(ProcessSignal.Stop);

    public void Resume() => Node.Signal(ProcessSignal.Continue);

    /// <summary>Stops the node if it runs and starts it again, on the same ports with the same data.</summary>
    public async Task RestartAsync()
    {
        if (IsRunning)
        {
            await StopAsync();
        }

        await StartAsync();
    }

    /// <summary>Runs rabbitmqctl on this node, which is a member of a cluster, and returns what it printed.</summary>
    public async Task<string> ControlAsync(params string[] arguments)
    {
        var membership = _membership ?? throw new InvalidOperationException("Only members of a cluster have a known cookie.");
        await using var control = Installation.Start(
            Path.Combine(Path.GetDirectoryName(_serverScript)!, "rabbitmqctl"),
            ["--longnames", "--node", NodeName, "--erlang-cookie", membership.Cookie, "--quiet", .. arguments],
            _environment);
        var code = await control.WaitForExitAsync(TimeSpan.FromSeconds(60));
        await control.DrainAsync();
        return code == 0
            ? string.Join('\n', control.StandardOutput)
            : throw new InvalidOperationException($"rabbitmqctl {string.Join(' ', arguments)} failed. {control.Tail()}");
    }

    /// <summary>Declares a vhost that the administrator may use and the scaler may see.</summary>
    public async Task DeclareVhostAsync(string name)
    {
        var vhost = Uri.EscapeDataString(name);
        await PutAsync($"api/vhosts/{vhost}", new { });
        await PutAsync($"api/permissions/{vhost}/{AdminUser}", new { configure = ".*", write = ".*", read = ".*" });
        await PutAsync($"api/permissions/{vhost}/{ScalerUser}", new { configure = "", write = "", read = "" });
    }

    /// <summary>Declares a user with the rights of the scaler's, or sets the password of one. RabbitMQ closes no connection over it.</summary>
    public async Task SetPasswordAsync(string user, string password)
    {
        await PutAsync($"api/users/{user}", new { password, tags = "management" });
        await PutAsync($"api/permissions/%2F/{user}", new { configure = "", write = "", read = "" });
    }

    /// <summary>
    /// The AMQP connections of a user whose programs call themselves something, by names that no other connection ever has.
    /// </summary>
    public async Task<IReadOnlyList<string>> ReadConnectionsAsync(string user, string program = "")
    {
        var connections = await Management.GetFromJsonAsync<JsonElement>(new Uri("api/connections", UriKind.Relative));
        return [.. connections.EnumerateArray()
            .Where(one => one.TryGetProperty("user", out var of) && of.GetString() == user && one.GetRawText().Contains(program, StringComparison.Ordinal))
            .Select(static one => one.GetProperty("name").GetString()!)
            .Order(StringComparer.Ordinal)];
    }

    /// <summary>Sets which queues of the default virtual host the scaler's user may read, as an expression; empty for none.</summary>
    public Task LetScalerReadAsync(string queues) =>
        PutAsync($"api/permissions/%2F/{ScalerUser}", new { configure = "", write = "", read = queues });

    public async Task DeleteVhostAsync(string name)
    {
        using var response = await Management.DeleteAsync(new Uri($"api/vhosts/{Uri.EscapeDataString(name)}", UriKind.Relative));
        response.EnsureSuccessStatusCode();
    }

    public ConnectionFactory CreateConnectionFactory(string vhost = "/") => new()
    {
        HostName = "127.0.0.1",
        Port = AmqpPort,
        UserName = AdminUser,
        Password = AdminPassword,
        VirtualHost = vhost,
    };

    public async ValueTask DisposeAsync()
    {
        // The data is thrown away, so nothing is gained by waiting for a graceful stop.
        if (_node is not null)
        {
            await _node.DisposeAsync();
        }

        if (_membership is null)
        {
            await _epmd.DisposeAsync();
        }

        Management.Dispose();
        ManagementAsScaler.Dispose();
        Metrics.Dispose();
        _folder.Dispose();
    }

    private static HttpClient CreateHttpClient(Uri address, string user, string password)
    {
        var client = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromSeconds(10) };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
            "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}")));
        return client;
    }

    /// <summary>
    /// Makes a RabbitMQ home that holds links to the installed one and only the plugins that can be enabled here: the
    /// node reads every module of every plugin it finds when it starts, and that was a third of the time of a start.
    /// </summary>
    /// <returns>The script that becomes the node. (The rabbitmq-server on the PATH changes to another user first.)</returns>
    private string LinkServer()
    {
        var home = _folder.CreateFolder("rabbitmq");
        Directory.CreateSymbolicLink(Path.Combine(home, "sbin"), $"{Installation.Home}/sbin");
        Directory.CreateSymbolicLink(Path.Combine(home, "escript"), $"{Installation.Home}/escript");
        var plugins = Directory.CreateDirectory(Path.Combine(home, "plugins"));
        foreach (var plugin in new DirectoryInfo(Path.Combine(Installation.HomeFromHere, "plugins")).EnumerateFileSystemInfos())
        {
            if (!plugin.Name.StartsWith("rabbitmq_", StringComparison.Ordinal)
                || Array.Exists(PluginsUsed, used => plugin.Name.StartsWith($"{used}-", StringComparison.Ordinal)))
            {
                Directory.CreateSymbolicLink(Path.Combine(plugins.FullName, plugin.Name), $"{Installation.Home}/plugins/{plugin.Name}");
            }
        }

        return Path.Combine(home, "sbin", "rabbitmq-server");
    }

    private Dictionary<string, string?> WriteConfiguration(RabbitMqBrokerOptions options)
    {
        var definitions = _folder.Write("definitions.json", JsonSerializer.Serialize(new
        {
            vhosts = new[] { new { name = "/" } },
            users = new[]
            {
                new { name = AdminUser, password = AdminPassword, tags = "administrator" },
                new { name = ScalerUser, password = ScalerPassword, tags = "management" },
            },
            permissions = new[]
            {
                new { user = AdminUser, vhost = "/", configure = ".*", write = ".*", read = ".*" },
                new { user = ScalerUser, vhost = "/", configure = "", write = "", read = "" },
            },
        }));
        var configuration = _folder.Write("rabbitmq.conf", string.Join('\n', [
            $"listeners.tcp.1 = 127.0.0.1:{AmqpPort}",
            "management.tcp.ip = 127.0.0.1",
            $"management.tcp.port = {ManagementPort}",
            "prometheus.tcp.ip = 127.0.0.1",
            $"prometheus.tcp.port = {MetricsPort}",
            $"collect_statistics_interval = {options.StatisticsInterval.TotalMilliseconds:0}",
            $"load_definitions = {definitions}",
            "log.file = false",
            "log.console = true",
            "log.console.level = info",
            // A nearly full disk must not stop publishers in a test.
            "disk_free_limit.absolute = 1MB",
            .. options.Configuration,
            "",
        ]));
        // The three policies have no default of their own once one of them is set.
        var policy = $"[{{60,{Math.Max(1, (int)options.SampleInterval.TotalSeconds)}}}]";
        var advanced = _folder.Write("advanced.config", $$"""
            [{rabbit, [{quorum_tick_interval, {{options.QuorumTick.TotalMilliseconds:0}}}]},
             {rabbitmq_management_agent, [{sample_retention_policies,
               [{global, {{policy}}}, {basic, {{policy}}}, {detailed, {{policy}}}]}]}].

            """);
        var plugins = _folder.Write(
            "enabled_plugins",
            options.EventExchange
                ? "[rabbitmq_management,rabbitmq_prometheus,rabbitmq_event_exchange].\n"
                : "[rabbitmq_management,rabbitmq_prometheus].\n");

        var environment = new Dictionary<string, string?>(StringComparer.Ordinal);
        foreach (string name in Environment.GetEnvironmentVariables().Keys)
        {
            // Nothing that is set for another broker may reach this one.
            if (name.StartsWith("RABBITMQ_", StringComparison.Ordinal) || name.StartsWith("ERL_", StringComparison.Ordinal))
            {
                environment[name] = null;
            }
        }

        // The cookie is written to HOME.
        environment["HOME"] = _folder.CreateFolder("home");
        environment["ERL_EPMD_ADDRESS"] = "127.0.0.1";
        environment["ERL_EPMD_PORT"] = $"{_epmd.Port}";
        environment["RABBITMQ_SCRIPTS_DIR"] = Path.GetDirectoryName(_serverScript);
        environment["RABBITMQ_CONF_ENV_FILE"] = _folder.Write("rabbitmq-env.conf", "");
        environment["RABBITMQ_NODENAME"] = NodeName;
        environment["RABBITMQ_USE_LONGNAME"] = "true";
        environment["RABBITMQ_DIST_PORT"] = $"{LoopbackPorts.Reserve()}";
        environment["RABBITMQ_CONFIG_FILE"] = configuration;
        environment["RABBITMQ_ADVANCED_CONFIG_FILE"] = advanced;
        environment["RABBITMQ_ENABLED_PLUGINS_FILE"] = plugins;
        environment["RABBITMQ_MNESIA_BASE"] = _folder.CreateFolder("mnesia");
        environment["RABBITMQ_LOG_BASE"] = _folder.CreateFolder("log");
        environment["RABBITMQ_GENERATED_CONFIG_DIR"] = _folder.CreateFolder("generated");
        environment["RABBITMQ_PLUGINS_EXPAND_DIR"] = _folder.CreateFolder("plugins");
        environment["RABBITMQ_PID_FILE"] = Path.Combine(_folder.Path, "pid");
        // Makes the script become the node instead of a parent that hands signals on, so that the id is the node's.
        environment["RABBITMQ_ALLOW_INPUT"] = "true";
        environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] =
            $"-noinput +B i -kernel inet_dist_use_interface {{127,0,0,1}} -kernel net_ticktime {options.NetTick.TotalSeconds:0}"
            + (options.RereadsCertificates ? " -ssl bypass_pem_cache true" : "")
            + (_membership is null ? "" : $" -setcookie {_membership.Cookie}");
        return environment;
    }

    private async Task WaitUntilServingAsync()
    {
        await Eventually.SeesAsync(
            () => StatusAsync(ManagementAsScaler, "api/overview"), s => s == HttpStatusCode.OK, "the management API");
        await Eventually.SeesAsync(
            () => StatusAsync(Metrics, "metrics/detailed?family=queue_coarse_metrics"),
            s => s == HttpStatusCode.OK,
            "the Prometheus plugin");
        await using var connection = await CreateConnectionFactory().CreateConnectionAsync();
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client, string path)
    {
        using var response = await client.GetAsync(new Uri(path, UriKind.Relative));
        return response.StatusCode;
    }

    private async Task PutAsync<T>(string path, T body)
    {
        using var response = await Management.PutAsJsonAsync(new Uri(path, UriKind.Relative), body);
        response.EnsureSuccessStatusCode();
    }
}
