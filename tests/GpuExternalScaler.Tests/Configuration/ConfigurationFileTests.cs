using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Policy;
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
    [InlineData("workloads: { genai/filter: { queueRegex: main } }", 1, 28, "workloads.genai/filter.rabbitmq: there is no connection to read the queue from")]
    [InlineData("workloads: { genai/filter: { vhost: genai } }", 1, 28, "workloads.genai/filter.queue: give either queue *")]
    [InlineData("workloads: { genai/*: { warmReplicas: 2 } }", 1, 25, "workloads.genai/*.warmReplicas: unknown key; *")]
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
