using System.CommandLine;
using GpuExternalScaler.Commands;

namespace GpuExternalScaler.Tests.Configuration;

public sealed class ShowConfigTests : IDisposable
{
    private const string Yaml = """
        listen: { http: "127.0.0.1:8081" }
        rabbitmq:
          main:
            metrics: { urls: ["http://node-0:15692", "http://node-1:15692"] }
            management: { url: "https://rabbitmq.mq:15671", username: scaler, passwordFile: /secrets/password }
            vhosts: ["/", genai]
            namespaces: [genai, "team-*"]
          other:
            amqp: { url: "amqp://rabbitmq.mq" }
        defaults:
          coldStart: 90s
        workloads:
          genai/*:
            saturationThreshold: 0.6
            prefetch: auto
        """;

    private readonly Dictionary<string, string> _environment = [];
    private readonly FileInfo _file = new(Path.GetTempFileName());

    public ShowConfigTests() => File.WriteAllText(_file.FullName, Yaml);

    public void Dispose() => _file.Delete();

    [Fact]
    public async Task The_configuration_is_shown_with_where_each_value_comes_from()
    {
        var (exit, output, error) = await ShowAsync(null);

        (exit, error).Should().Be((0, ""));
        output.Should().Be(
            """
            listen:
              grpc: "0.0.0.0:9090"                                   # built-in
              http: "127.0.0.1:8081"                                 # line 1
            limits:
              workloads: 10000                                       # built-in
              metadataBytes: 16384                                   # built-in
            evaluation:
              interval: 1s                                           # built-in
              forgetAfter: 10m                                       # built-in
            reload:
              interval: 5s                                           # built-in
            log:
              format: auto                                           # built-in
              level: information                                     # built-in
            rabbitmq:
              main:
                metrics:
                  urls: ["http://node-0:15692", "http://node-1:15692"] # line 4
                management:
                  url: "https://rabbitmq.mq:15671"                   # line 5
                  username: scaler                                   # line 5
                  passwordFile: "/secrets/password"                  # line 5
                  interval: 10s                                      # built-in
                interval: 2s                                         # built-in
                staleAfter: 20s                                      # built-in
                vhosts: ["/", genai]                                 # line 6
                namespaces: [genai, "team-*"]                        # line 7
              other:
                amqp:
                  url: "amqp://rabbitmq.mq"                          # line 9
                  interval: 1s                                       # built-in
                  eventVhost: "/"                                    # built-in
                interval: 2s                                         # built-in
                staleAfter: 20s                                      # built-in
            defaults:
              coldStart: 1m30s                                       # line 11
            workloads:
              "genai/*":
                saturationThreshold: 0.6                             # line 14
                prefetch: auto                                       # line 15

            """);
    }

    [Fact]
    public async Task Values_of_headers_are_not_shown_and_queries_are()
    {
        await File.WriteAllTextAsync(_file.FullName, """
            prometheus:
              main:
                url: http://prometheus:9090
                headers: { X-Scope-OrgID: s3cret, Authorization: Bearer s3cret }
                namespaces: [genai]
            gpu:
              main: { kind: hami, prometheus: main }
              direct: { kind: amd, exporters: "http://10.0.0.1:5000/metrics" }
            modelServers:
              vllm: { kind: vllm, prometheus: main, staleAfter: 1m }
            defaults:
              modelMemory: 40960Mi
              latencyQuery: 'max(x{a="b"}) # c'
              latencyObjective: 2s
            """);

        var (exit, output, error) = await ShowAsync(("genai", "filter"), "modelServer=vllm");

        (exit, error).Should().Be((0, ""));
        output.Should().NotContain("s3cret").And.Contain("""
              level: information                                     # built-in
            prometheus:
              main:
                url: "http://prometheus:9090"                        # line 3
                interval: 15s                                        # built-in
                staleAfter: 1m                                       # built-in
                timeout: 10s                                         # built-in
                headers: { Authorization: "(not shown)", X-Scope-OrgID: "(not shown)" } # line 4
                allowTriggerQueries: false                           # built-in
                namespaces: [genai]                                  # line 5
            gpu:
              main:
                kind: hami                                           # line 7
                prometheus: main                                     # line 7
                staleAfter: 1m30s                                    # built-in
              direct:
                kind: amd                                            # line 8
                exporters: ["http://10.0.0.1:5000/metrics"]          # line 8
                interval: 10s                                        # built-in
                staleAfter: 1m30s                                    # built-in
            modelServers:
              vllm:
                kind: vllm                                           # line 10
                prometheus: main                                     # line 10
                staleAfter: 1m                                       # line 10
            defaults:
              modelMemory: 40Gi                                      # line 12
              latencyQuery: "max(x{a=\"b\"}) # c"                    # line 13
              latencyObjective: 2s                                   # line 14

            """).And.Contain("  latencyQuery: \"max(x{a=\\\"b\\\"}) # c\"                    # defaults, line 13\n");
    }

    [Fact]
    public async Task A_section_within_a_section_is_shown_as_one()
    {
        await File.WriteAllTextAsync(_file.FullName, "listen: { tls: { clientCaFile: /tls/ca.crt, certFile: /tls/tls.crt } }");
        _environment["GPU_EXTERNAL_SCALER__LISTEN__TLS__KEYFILE"] = "/tls/tls.key";

        var (_, output, _) = await ShowAsync(null);

        output.Should().StartWith(
            """
            listen:
              grpc: "0.0.0.0:9090"                                   # built-in
              http: "0.0.0.0:8080"                                   # built-in
              tls:
                certFile: "/tls/tls.crt"                             # line 1
                keyFile: "/tls/tls.key"                              # GPU_EXTERNAL_SCALER__LISTEN__TLS__KEYFILE
                clientCaFile: "/tls/ca.crt"                          # line 1
            limits:

            """);
    }

    [Fact]
    public async Task A_variable_is_named_as_where_a_value_comes_from()
    {
        _environment["GPU_EXTERNAL_SCALER__RABBITMQ__MAIN__MANAGEMENT__PASSWORDFILE"] = "/elsewhere/password";

        var (_, output, _) = await ShowAsync(null);

        output.Should().MatchRegex("passwordFile: \"/elsewhere/password\" +# GPU_EXTERNAL_SCALER__RABBITMQ__MAIN__MANAGEMENT__PASSWORDFILE\n");
    }

    [Fact]
    public async Task What_is_shown_reads_as_the_same_configuration()
    {
        await File.WriteAllTextAsync(_file.FullName, Yaml.Replace("scaler,", "\"null\",", StringComparison.Ordinal).Replace("genai]", "\"a: \\\"b\\\" # c\", \"~\"]", StringComparison.Ordinal));
        var (_, shown, _) = await ShowAsync(null);
        shown.Should().Contain("username: \"null\"").And.Contain("[\"/\", \"a: \\\"b\\\" # c\", \"~\"]");
        await File.WriteAllTextAsync(_file.FullName, shown);

        var (exit, again, _) = await ShowAsync(null);

        exit.Should().Be(0);
        Values(again).Should().Be(Values(shown));

        static string Values(string text) => string.Join('\n', text.Split('\n').Select(static line => line[..Math.Max(0, line.LastIndexOf(" # ", StringComparison.Ordinal))]));
    }

    [Fact]
    public async Task A_workloads_policy_is_shown_with_where_each_value_comes_from()
    {
        var (exit, output, error) = await ShowAsync(("genai", "filter"), "coldStart=2m", "share=0.5", "saturationThreshold=0.8", "scalerAddress=x:9090", "typo=s3cret");

        exit.Should().Be(0);
        error.Should().Be("--metadata: warning: keys that mean nothing here: typo\n");
        output.Should().EndWith(
            """
            ---
            workload: genai/filter
            policy:
              saturationThreshold: 0.6                               # workloads entry 'genai/*', line 14
              share: 0.5                                             # trigger
              concurrency: 1                                         # built-in
              prefetch: auto                                         # workloads entry 'genai/*', line 15
              consumersPerReplica: 1                                 # built-in
              serviceTime: measured                                  # built-in
              coldStart: 2m                                          # trigger
              drainTime: the cold start                              # built-in
              activationThreshold: 0                                 # built-in
              holdFor: 30m                                           # built-in
              holdAfterRecovery: 5m                                  # built-in
              missingQueue: hold                                     # built-in
              mode: deployment                                       # built-in
              vramThreshold: not looked at                           # built-in
              vramAggregate: total                                   # built-in
              modelMemory: observed when idle                        # built-in
              gpusPerReplica: auto                                   # built-in
              kvCacheThreshold: 0.8                                  # built-in
              latencyQuery: ""                                       # built-in
              latencyObjective: none                                 # built-in
              query: ""                                              # built-in
              hpaTolerance: 0.1                                      # built-in
              maxReplicas: not known                                 # built-in
              waitObjective: none                                    # built-in
              forecast: auto                                         # built-in
              forecastQuantile: 0.9                                  # built-in
              warmReplicas: 0                                        # built-in
              schedule: none                                         # built-in
              timeZone: UTC                                          # built-in

            """);
    }

    [Theory]
    [InlineData("share=s3cret", "--metadata: share must be a number from 0.001 to 1\n")]
    [InlineData("queue=", "--metadata: give queue (a name, or several with commas between) or queueRegex, or another demand signal: modelServer, vramThreshold or query\n")]
    [InlineData("rabbitmq=s3cret", "--metadata: the RabbitMQ connection named by the key rabbitmq is not configured; configured: other\n")]
    [InlineData("rabbitmq=main", "--metadata: the RabbitMQ connection is not for this namespace: its namespaces do not include it\n")]
    [InlineData("vramThreshold=0.8", "--metadata: no GPU connection is configured\n")]
    [InlineData("query=s3cret", "--metadata: no Prometheus connection is configured\n")]
    public async Task Metadata_that_the_server_would_refuse_is_refused_without_its_value(string pair, string message)
    {
        var (exit, output, error) = await ShowAsync(("elsewhere", "filter"), pair);

        (exit, output, error).Should().Be((2, "", message));
    }

    [Fact]
    public async Task A_file_that_is_wrong_is_told_and_not_shown()
    {
        await File.WriteAllTextAsync(_file.FullName, "defaults: { coldStart: s3cret }");

        var (exit, output, error) = await ShowAsync(null);

        (exit, output).Should().Be((2, ""));
        error.Should().Contain("defaults.coldStart: must be a duration").And.NotContain("s3cret");
    }

    [Theory]
    [InlineData("--metadata", "share=1")]
    [InlineData("--workload", "filter")]
    [InlineData("--workload", "genai/*")]
    [InlineData("--workload", "genai/filter", "--metadata", "s3cret")]
    public void Wrong_usage_is_told_without_the_value(params string[] arguments)
    {
        var parsed = new RootCommand { ShowConfigCommand.Create() }.Parse(["show-config", .. arguments]);

        parsed.Errors.Should().ContainSingle().Which.Message.Should().StartWith("--").And.NotContain("s3cret");
    }

    [Fact]
    public void Metadata_may_be_given_at_once_or_one_by_one()
    {
        new RootCommand { ShowConfigCommand.Create() }
            .Parse(["show-config", "--workload", "a/b", "--metadata", "share=1", "coldStart=2m", "--metadata", "queue=a=b"]).Errors.Should().BeEmpty();
    }

    private async Task<(int Exit, string Output, string Error)> ShowAsync((string, string)? workload, params string[] metadata)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        var pairs = metadata.Select(static pair => pair.Split('=', 2)).Select(static pair => KeyValuePair.Create(pair[0], pair[1])).ToList();
        var exit = await ShowConfigCommand.RunAsync(_file, workload, pairs, _environment, output, error, CancellationToken.None);
        return (exit, output.ToString(), error.ToString());
    }
}
