using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Tests.Configuration;

public class ConfigurationFileTests
{
    [Fact]
    public void An_empty_file_is_the_defaults()
    {
        var options = ConfigurationFile.Parse("", out var errors);

        errors.Should().BeEmpty();
        options!.Grpc.ToString().Should().Be("0.0.0.0:9090");
        options.Http.ToString().Should().Be("0.0.0.0:8080");
        options.EvaluationInterval.Should().Be(TimeSpan.FromSeconds(1));
        options.ForgetAfter.Should().Be(TimeSpan.FromMinutes(10));
        options.MaximumWorkloads.Should().Be(10_000);
        options.MaximumMetadataBytes.Should().Be(16_384);
    }

    [Fact]
    public void Every_key_is_read()
    {
        var options = ConfigurationFile.Parse(
            """
            listen:
              grpc: 127.0.0.1:19090
              http: "[::1]:18080"
            rabbitmq:
              main:
                metrics:
                  urls: ["https://rabbit-0:15691", "https://rabbit-1:15691"]
                  caFile: /secrets/ca.crt
                management:
                  url: https://rabbitmq.mq:15671
                  username: scaler
                  passwordFile: /secrets/password
                  caFile: /secrets/ca.crt
                  interval: 15s
                amqp:
                  url: amqps://rabbitmq.mq
                  username: scaler
                  passwordFile: /secrets/password
                  caFile: /secrets/ca.crt
                  interval: 500ms
                  eventVhost: events
                interval: 3s
                staleAfter: 30s
                vhosts: ["/", genai]
                namespaces: [genai, "team-*"]
              second:
                metrics: { dns: rabbitmq-nodes.mq.svc:15692 }
              third:
                amqp: { url: "amqp://rabbitmq.mq:5673/" }
            limits: { workloads: 500, metadataBytes: 4096 }
            evaluation: { interval: 500ms, forgetAfter: 5m }
            log: { format: json, level: warning }
            defaults:
              saturationThreshold: 0.6
              coldStart: 90s
            workloads:
              genai/images: { share: 0.5 }
            """,
            out var errors);

        errors.Should().BeEmpty();
        options!.Grpc.ToString().Should().Be("127.0.0.1:19090");
        options.Http.ToString().Should().Be("[::1]:18080");
        options.MaximumWorkloads.Should().Be(500);
        options.MaximumMetadataBytes.Should().Be(4096);
        options.EvaluationInterval.Should().Be(TimeSpan.FromMilliseconds(500));
        options.ForgetAfter.Should().Be(TimeSpan.FromMinutes(5));
        options.LogFormat.Should().Be(LogFormat.Json);
        options.LogLevel.Should().Be(Microsoft.Extensions.Logging.LogLevel.Warning);
        options.Policies.Resolve("genai", "filter", PolicyOverrides.None).Policy.Should().Be(
            new ScalingPolicy { SaturationThreshold = 0.6, ColdStart = TimeSpan.FromSeconds(90) });

        options.Policies.Resolve("genai", "images", PolicyOverrides.None).Policy.Share.Should().Be(0.5);

        var main = options.RabbitMq["main"].Connection;
        main.Name.Should().Be("main");
        main.MetricsUrls.Should().Equal(new Uri("https://rabbit-0:15691"), new Uri("https://rabbit-1:15691"));
        main.MetricsCaFile.Should().Be("/secrets/ca.crt");
        main.Management!.Url.Should().Be(new Uri("https://rabbitmq.mq:15671"));
        main.Management.Username.Should().Be("scaler");
        main.Management.PasswordFile.Should().Be("/secrets/password");
        main.Management.CaFile.Should().Be("/secrets/ca.crt");
        main.ManagementInterval.Should().Be(TimeSpan.FromSeconds(15));
        main.Amqp.Should().Be(new RabbitMqAmqpOptions
        {
            Url = new Uri("amqps://rabbitmq.mq"),
            Username = "scaler",
            PasswordFile = "/secrets/password",
            CaFile = "/secrets/ca.crt",
            Interval = TimeSpan.FromMilliseconds(500),
            EventVhost = "events",
        });
        main.Interval.Should().Be(TimeSpan.FromSeconds(3));
        main.StaleAfter.Should().Be(TimeSpan.FromSeconds(30));
        main.Vhosts.Should().Equal("/", "genai");
        options.RabbitMq["second"].Connection.MetricsDns!.Value.ToString().Should().Be("rabbitmq-nodes.mq.svc:15692");
        options.RabbitMq["second"].Connection.Amqp.Should().BeNull();
        options.RabbitMq["third"].Connection.Amqp!.Interval.Should().Be(TimeSpan.FromSeconds(1));
    }

    [Fact]
    public void Every_key_of_connections_to_Prometheus_exporters_and_model_servers_is_read()
    {
        var options = ConfigurationFile.Parse(
            """
            prometheus:
              main:
                url: https://prometheus:9090/prefix
                interval: 30s
                staleAfter: 2m
                timeout: 5s
                basic: { username: scaler, passwordFile: /secrets/password }
                headers: { X-Scope-OrgID: 42, X-Empty: }
                caFile: /secrets/ca.crt
                certFile: /tls/tls.crt
                keyFile: /tls/tls.key
                allowTriggerQueries: true
                namespaces: [genai]
              token: { url: "https://prometheus:9090", bearerTokenFile: /secrets/token }
            gpu:
              main: { kind: hami, prometheus: main, staleAfter: 3m, namespaces: ["team-*"] }
              pages: { kind: ascend, exporters: ["http://a:8082/metrics", "http://b:8082/metrics"], interval: 5s, caFile: /secrets/ca.crt }
              name: { kind: gaudi, dns: "exporters.gpu.svc:9400" }
            modelServers:
              main: { kind: sglang, prometheus: main, staleAfter: 3m, namespaces: [genai] }
              pages: { kind: tgi, urls: "http://a:8000/metrics", interval: 2s, caFile: /secrets/ca.crt }
              name: { kind: triton, dns: "servers.genai.svc:8002" }
            """,
            out var errors);

        errors.Should().BeEmpty();
        var main = options!.Prometheus["main"];
        main.Namespaces.Should().Equal("genai");
        main.Connection.Should().BeEquivalentTo(new PrometheusConnectionOptions
        {
            Name = "main",
            Url = new Uri("https://prometheus:9090/prefix"),
            Interval = TimeSpan.FromSeconds(30),
            StaleAfter = TimeSpan.FromMinutes(2),
            Timeout = TimeSpan.FromSeconds(5),
            Basic = new PrometheusBasicCredentials { Username = "scaler", PasswordFile = "/secrets/password" },
            Headers = new Dictionary<string, string> { ["X-Scope-OrgID"] = "42" },
            CaFile = "/secrets/ca.crt",
            ClientCertificate = new ClientCertificateFiles { CertFile = "/tls/tls.crt", KeyFile = "/tls/tls.key" },
            AllowTriggerQueries = true,
        });
        options.Prometheus["token"].Connection.BearerTokenFile.Should().Be("/secrets/token");
        options.Gpu["main"].Allows("team-a").Should().BeTrue();
        options.Gpu["main"].Connection.Should().BeEquivalentTo(
            new GpuConnectionOptions { Name = "main", Kind = GpuKind.Hami, Prometheus = "main", StaleAfter = TimeSpan.FromMinutes(3) });
        options.Gpu["pages"].Connection.Should().BeEquivalentTo(new GpuConnectionOptions
        {
            Name = "pages",
            Kind = GpuKind.Ascend,
            Exporters = [new Uri("http://a:8082/metrics"), new Uri("http://b:8082/metrics")],
            Interval = TimeSpan.FromSeconds(5),
            CaFile = "/secrets/ca.crt",
        });
        options.Gpu["name"].Connection.Dns.ToString().Should().Be("exporters.gpu.svc:9400");
        options.ModelServers["main"].Connection.Should().BeEquivalentTo(
            new ModelServerConnectionOptions { Name = "main", Kind = ModelServerKind.SgLang, Prometheus = "main", StaleAfter = TimeSpan.FromMinutes(3) });
        options.ModelServers["pages"].Connection.Should().BeEquivalentTo(new ModelServerConnectionOptions
        {
            Name = "pages",
            Kind = ModelServerKind.Tgi,
            Urls = [new Uri("http://a:8000/metrics")],
            Interval = TimeSpan.FromSeconds(2),
            CaFile = "/secrets/ca.crt",
        });
        options.ModelServers["name"].Connection.Dns.ToString().Should().Be("servers.genai.svc:8002");
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("genai=>team", true)] // who may use it does not matter
    [InlineData("s3cret=>other", false)] // a header's value
    [InlineData("X-Scope-OrgID=>X-Tenant", false)]
    [InlineData("15s=>16s", false)]
    [InlineData("/metrics=>/other", false)]
    [InlineData("vllm,=>tgi,", false)]
    public void A_connection_is_the_same_while_its_keys_are(string edit, bool same)
    {
        const string Yaml = """
            prometheus: { a: { url: "http://p", headers: { X-Scope-OrgID: s3cret }, interval: 15s, namespaces: [genai] } }
            gpu: { a: { kind: dcgm, exporters: "http://e/metrics", namespaces: [genai] } }
            modelServers: { a: { kind: vllm, prometheus: a, namespaces: [genai] } }
            """;
        var (before, after) = (ConfigurationFile.Parse(Yaml, out _)!, ConfigurationFile.Parse(edit.Split("=>") is [var from, var to] ? Yaml.Replace(from, to, StringComparison.Ordinal) : Yaml, out _)!);

        var all = before.Prometheus["a"].IsSameConnectionAs(after.Prometheus["a"])
            && before.Gpu["a"].IsSameConnectionAs(after.Gpu["a"])
            && before.ModelServers["a"].IsSameConnectionAs(after.ModelServers["a"]);

        all.Should().Be(same);
    }

    [Theory]
    [InlineData("# nothing")]
    [InlineData("---")]
    [InlineData("~")]
    [InlineData("defaults:\nworkloads: null\nlisten: ~\nlog: { level: , format: null }\nrabbitmq: {}")]
    public void What_is_empty_or_null_is_absent(string yaml)
    {
        var options = ConfigurationFile.Parse(yaml, out var errors);

        errors.Should().BeEmpty();
        options!.LogLevel.Should().Be(Microsoft.Extensions.Logging.LogLevel.Information);
    }

    [Theory]
    [InlineData("genai", true)]
    [InlineData("team-a", true)]
    [InlineData("team", false)]
    [InlineData("other", false)]
    public void Namespaces_may_use_a_connection_by_glob(string @namespace, bool allowed)
    {
        var options = ConfigurationFile.Parse("rabbitmq: { main: { metrics: { urls: [\"http://r:1\"] }, namespaces: [genai, \"team-*\"] } }", out _);

        options!.RabbitMq["main"].Allows(@namespace).Should().Be(allowed);
    }

    [Theory]
    [InlineData("listne: {}", 1, 1, "listne: unknown key; did you mean listen?")]
    [InlineData("listen:\n  grpc: nine", 2, 9, "listen.grpc: must be an address and a port, such as 0.0.0.0:9090")]
    [InlineData("listen: { grpc: \"0.0.0.0:9\", http: \"0.0.0.0:9\" }", 1, 36, "listen.http: must be another port than grpc: KEDA speaks HTTP/2 with prior knowledge, probes do not")]
    [InlineData("rabbitmq: 5", 1, 11, "rabbitmq: must be a section of keys")]
    [InlineData("rabbitmq:\n  main: {}", 2, 9, "rabbitmq.main.metrics: a connection needs metrics (preferred), management or amqp; any one is enough")]
    [InlineData("rabbitmq: { m: { amqp: { url: \"http://x\" } } }", 1, 31, "rabbitmq.m.amqp.url: must be an amqp or amqps URL of host and port alone; virtual hosts come from vhosts and triggers")]
    [InlineData("rabbitmq: { m: { amqp: { url: \"amqp://x/genai\" } } }", 1, 31, "rabbitmq.m.amqp.url: must be an amqp or amqps URL of host and port alone; virtual hosts come from vhosts and triggers")]
    [InlineData("rabbitmq: { m: { amqp: { url: \"amqps://u:s3cret@x\" } } }", 1, 31, "rabbitmq.m.amqp.url: must not hold credentials; use username and passwordFile")]
    [InlineData("rabbitmq: { m: { amqp: { interval: 1s } } }", 1, 24, "rabbitmq.m.amqp.url: is required: the broker's address, such as amqps://rabbitmq.mq:5671")]
    [InlineData("rabbitmq: { m: { amqp: { url: \"amqp://x\", passwordFile: p } } }", 1, 24, "rabbitmq.m.amqp.username: username and passwordFile go together")]
    [InlineData("rabbitmq: { m: { amqp: { url: \"amqp://x\", interval: 2m } } }", 1, 53, "rabbitmq.m.amqp.interval: must be a duration such as 90s or 1m30s, from 100ms to 1m")]
    [InlineData("rabbitmq: { m: { amqp: { url: \"amqp://x\", vhost: a } } }", 1, 43, "rabbitmq.m.amqp.vhost: unknown key; *")]
    [InlineData("rabbitmq: { m: { metrics: { urls: [\"ftp://x\"] } } }", 1, 36, "rabbitmq.m.metrics.urls: must be an http or https URL without query")]
    [InlineData("rabbitmq: { m: { metrics: { urls: [\"http://u:s3cret@x\"] } } }", 1, 36, "rabbitmq.m.metrics.urls: must not hold credentials; use username and passwordFile")]
    [InlineData("rabbitmq: { m: { metrics: { dns: nowhere } } }", 1, 34, "rabbitmq.m.metrics.dns: must be a host name and a port, such as rabbitmq-nodes.mq.svc:15692")]
    [InlineData("rabbitmq: { m: { management: { url: \"http://x\", username: u } } }", 1, 30, "rabbitmq.m.management.passwordFile: username and passwordFile go together")]
    [InlineData("rabbitmq: { m: { metrics: { urls: [\"http://x\"] }, interval: 10s, staleAfter: 9s } }", 1, 78, "rabbitmq.m.staleAfter: staleAfter must be no less than interval, or every reading is stale before the next")]
    [InlineData("limits: { workloads: many }", 1, 22, "limits.workloads: must be a whole number from 1 to 1000000")]
    [InlineData("evaluation: { interval: 0s }", 1, 25, "evaluation.interval: must be a duration such as 90s or 1m30s, from 50ms to 1m")]
    [InlineData("log: { level: loud }", 1, 15, "log.level: must be one of trace, debug, information, warning, error, critical, none")]
    [InlineData("defaults: { share: 2 }", 1, 20, "defaults.share: must be a number from 0.001 to 1")]
    [InlineData("defaults: { queue: images }", 1, 13, "defaults.queue: belongs to the trigger: *")]
    [InlineData("workloads: { genai/*: { rabbitmq: main } }", 1, 25, "workloads.genai/*.rabbitmq: belongs to the trigger: *")]
    [InlineData("workloads: { genai/filter: { queueRegex: main } }", 1, 28, "workloads.genai/filter.rabbitmq: no RabbitMQ connection is configured")]
    [InlineData("workloads: { genai/filter: { vhost: genai } }", 1, 28, "workloads.genai/filter.queue: give queue (a name, *")]
    [InlineData("workloads: { genai/*: { poolPriority: 2 } }", 1, 25, "workloads.genai/*.poolPriority: unknown key; *")]
    [InlineData("workloads: { genai/*: { coldstrat: 2s } }", 1, 25, "workloads.genai/*.coldstrat: unknown key; did you mean coldStart?")]
    [InlineData("workloads: { genai/*: { coldStart: [2s] } }", 1, 36, "workloads.genai/*.coldStart: must be a single value")]
    [InlineData("workloads: { genai/*: 2s }", 1, 23, "workloads.genai/*: must be a section of keys")]
    [InlineData("workloads: { filter: { share: 1 } }", 1, 14, "workloads.filter: must be namespace/name of ScaledObjects: lower-case letters, digits, hyphens and dots, with * for any characters")]
    [InlineData("workloads: { Genai/filter: { share: 1 } }", 1, 14, "workloads.Genai/filter: must be namespace/name *")]
    [InlineData("workloads: { genai/?: { share: 1 } }", 1, 14, "workloads.genai/?: must be namespace/name *")]
    [InlineData("workloads:\n  a*/x: { share: 1 }\n  \"*b/x\": { share: 1 }", 3, 20, "workloads.*b/x.share: ties with entry 'a*/x' (line 2): both set it, have as many literal characters, and match workloads such as ab/x; leave it out of one, or make one more specific")]
    [InlineData("rabbitmq: { m: { management: { url: \"http://x\", username: u, passwordFile: p, password: s3cret } } }", 1, 79, "rabbitmq.m.management.password: unknown key; did you mean passwordFile?")]
    [InlineData("log: { level: *there }", 1, 15, "an alias (?) of what has no anchor (&) before it")]
    [InlineData("log: {}\nlog: {}", 2, 1, "log: given twice in one section, first on line 1")]
    [InlineData("listen: [", 2, 1, "not valid YAML here, or shortly before (*)")]
    [InlineData("rabbitmq:\n  [a]: 1", 2, 3, "rabbitmq: a name must be plain text")]
    [InlineData("- a", 1, 1, "must be one YAML document of keys and sections")]
    public void A_mistake_is_told_with_its_place_and_what_is_allowed(string yaml, long line, long column, string message)
    {
        ConfigurationFile.Parse(yaml, out var errors).Should().BeNull();

        errors.Should().ContainSingle();
        var error = errors[0];
        (error.Line, error.Column).Should().Be((line, column));
        (error.Path.Length > 0 ? $"{error.Path}: {error.Problem}" : error.Problem).Should().Match(message.Replace("[", "?", StringComparison.Ordinal)).And.NotContain("s3cret");
    }

    [Fact]
    public void Every_mistake_is_told_at_once_in_the_order_of_the_file()
    {
        ConfigurationFile.Parse(
            """
            listen: { grpc: x }
            rabbitmq:
              main: { metrics: { urls: ["nope"] }, intervall: 2s }
            limits: { workloads: 0 }
            defaults: { saturationThreshold: 7 }
            """,
            out var errors).Should().BeNull();

        errors.Select(static error => error.Path).Should().Equal(
            "listen.grpc", "rabbitmq.main.metrics.urls", "rabbitmq.main.intervall", "limits.workloads", "defaults.saturationThreshold");
    }
}
