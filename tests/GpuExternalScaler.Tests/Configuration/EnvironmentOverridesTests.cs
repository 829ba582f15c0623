using GpuExternalScaler.Configuration;

namespace GpuExternalScaler.Tests.Configuration;

public class EnvironmentOverridesTests
{
    private const string Yaml = """
        listen: { grpc: "0.0.0.0:9090" }
        rabbitmq:
          main: { metrics: { dns: "nodes.mq.svc:15692" }, interval: 2s }
          my-broker: { amqp: { url: "amqp://rabbitmq.mq" } }
        prometheus: { main: { url: "http://prometheus:9090" } }
        gpu: { main: { kind: dcgm, prometheus: main } }
        modelServers: { my-vllm: { kind: vllm, dns: "vllm:8000" } }
        """;

    [Fact]
    public void A_variable_wins_over_the_file_and_over_what_is_built_in()
    {
        var reading = Read(
            ("GPU_EXTERNAL_SCALER__LISTEN__GRPC", "127.0.0.1:1"),
            ("GPU_EXTERNAL_SCALER__LISTEN__HTTP", " 127.0.0.1:2 "),
            ("GPU_EXTERNAL_SCALER__EVALUATION__FORGETAFTER", "5m"),
            ("GPU_EXTERNAL_SCALER__log__level", "debug"),
            ("GPU_EXTERNAL_SCALER__RABBITMQ__MAIN__INTERVAL", "5s"),
            ("GPU_EXTERNAL_SCALER__RABBITMQ__MAIN__MANAGEMENT__URL", "https://rabbitmq.mq:15671"),
            ("GPU_EXTERNAL_SCALER__RABBITMQ__MY_BROKER__STALEAFTER", "30s"),
            ("GPU_EXTERNAL_SCALER__PROMETHEUS__MAIN__BASIC__USERNAME", "scaler"),
            ("GPU_EXTERNAL_SCALER__PROMETHEUS__MAIN__BASIC__PASSWORDFILE", "/secrets/password"),
            ("GPU_EXTERNAL_SCALER__PROMETHEUS__MAIN__ALLOWTRIGGERQUERIES", "True"),
            ("GPU_EXTERNAL_SCALER__GPU__MAIN__STALEAFTER", "2m"),
            ("GPU_EXTERNAL_SCALER__MODELSERVERS__MY_VLLM__INTERVAL", "3s"),
            ("GPU_EXTERNAL_SCALER__LIMITS__WORKLOADS", "")); // empty means absent

        reading.Findings.Should().BeEmpty();
        var options = reading.Options!;
        options.Grpc.ToString().Should().Be("127.0.0.1:1");
        options.Http.ToString().Should().Be("127.0.0.1:2");
        options.ForgetAfter.Should().Be(TimeSpan.FromMinutes(5));
        options.LogLevel.Should().Be(Microsoft.Extensions.Logging.LogLevel.Debug);
        options.MaximumWorkloads.Should().Be(10_000);
        options.RabbitMq["main"].Connection.Interval.Should().Be(TimeSpan.FromSeconds(5));
        options.RabbitMq["main"].Connection.MetricsDns.Should().NotBeNull();
        options.RabbitMq["main"].Connection.Management!.Url.Should().Be(new Uri("https://rabbitmq.mq:15671"));
        options.RabbitMq["my-broker"].Connection.StaleAfter.Should().Be(TimeSpan.FromSeconds(30));
        options.Prometheus["main"].Connection.Basic!.Username.Should().Be("scaler");
        options.Prometheus["main"].Connection.AllowTriggerQueries.Should().BeTrue();
        options.Gpu["main"].Connection.StaleAfter.Should().Be(TimeSpan.FromMinutes(2));
        options.ModelServers["my-vllm"].Connection.Interval.Should().Be(TimeSpan.FromSeconds(3));
        reading.OriginOf(["listen", "http"]).Should().Be("GPU_EXTERNAL_SCALER__LISTEN__HTTP");
    }

    [Theory]
    [InlineData("LISTEN__GRCP", "means no key; did you mean GPU_EXTERNAL_SCALER__LISTEN__GRPC?")]
    [InlineData("LISTEN", "means no key; did you mean GPU_EXTERNAL_SCALER__LISTEN__GRPC?")]
    [InlineData("COLOUR", "means no key; known here: GPU_EXTERNAL_SCALER__EVALUATION__FORGETAFTER, *")]
    [InlineData("", "means no key; *")]
    [InlineData("LISTEN__GRPC__PORT", "means no key; *")]
    [InlineData("RABBITMQ__MAIN__INTERVALL", "means no key; did you mean GPU_EXTERNAL_SCALER__RABBITMQ__MAIN__INTERVAL?")]
    [InlineData("RABBITMQ__OTHER__INTERVAL", "must go on with the name of a connection of the file *; connections of the file: main, my-broker")]
    [InlineData("RABBITMQ__MAIN", "must go on with the name of a connection of the file *")]
    [InlineData("RABBITMQ__MAIN__METRICS__URLS", "is a list, which is set in the file")]
    [InlineData("PROMETHEUS__MAIN__HEADERS", "is a section of names, which is set in the file")]
    [InlineData("PROMETHEUS__MAIN__HEADERS__AUTHORIZATION", "means no key; *")]
    [InlineData("PROMETHEUS__MAIN__ALLOWTRIGGERQUERIES", "must be true or false")]
    [InlineData("GPU__OTHER__KIND", "must go on with the name of a connection of the file and a key of it, such as GPU_EXTERNAL_SCALER__GPU__MAIN__INTERVAL; connections of the file: main")]
    [InlineData("GPU__MAIN__EXPORTERS", "is a list, which is set in the file")]
    [InlineData("GPU__MAIN__PROMETHEUS", "no such connection under prometheus; there are: main")]
    [InlineData("MODELSERVERS__MY_VLLM__KIND", "must be one of vllm, sglang, tgi, triton")]
    [InlineData("DEFAULTS__COLDSTART", "policy keys are set in the file: under defaults and workloads")]
    [InlineData("WORKLOADS__GENAI", "policy keys are set in the file: under defaults and workloads")]
    [InlineData("LISTEN__GRPC", "must be an address and a port, such as 0.0.0.0:9090")]
    [InlineData("RABBITMQ__MAIN__INTERVAL", "must be a duration such as 90s or 1m30s, from 100ms to 5m")]
    [InlineData("RABBITMQ__MAIN__MANAGEMENT__USERNAME", "is required: the management API's address, such as https://rabbitmq.mq:15671", 2)]
    public void A_mistake_is_told_by_the_variables_name_and_without_its_value(string name, string message, int count = 1)
    {
        var reading = Read(("GPU_EXTERNAL_SCALER__" + name, "s3cret"));

        reading.Options.Should().BeNull();
        reading.Findings.Should().HaveCount(count);
        reading.Findings[0].Problem.Should().Match(message);
        reading.Findings.Should().OnlyContain(finding => finding.Variable == "GPU_EXTERNAL_SCALER__" + name)
            .And.NotContain(static finding => finding.ToString().Contains("s3cret", StringComparison.Ordinal));
    }

    [Fact]
    public void A_combination_is_told_by_the_variable_that_makes_it()
    {
        var reading = Read(("GPU_EXTERNAL_SCALER__RABBITMQ__MAIN__STALEAFTER", "1s"));

        reading.Findings.Should().ContainSingle().Which.ToString().Should().Be(
            "environment variable GPU_EXTERNAL_SCALER__RABBITMQ__MAIN__STALEAFTER: staleAfter must be no less than interval, or every reading is stale before the next");
    }

    [Fact]
    public void Two_variables_for_one_key_are_an_error()
    {
        Read(("GPU_EXTERNAL_SCALER__LISTEN__GRPC", "127.0.0.1:1"), ("GPU_EXTERNAL_SCALER__Listen__Grpc", "127.0.0.1:1"))
            .Findings.Should().ContainSingle().Which.Problem.Should().StartWith("sets the same key as GPU_EXTERNAL_SCALER__L");
    }

    [Fact]
    public void Connections_that_a_variable_cannot_tell_apart_are_an_error_of_the_variable()
    {
        ConfigurationFile.Read("rabbitmq: { a-b: &x { amqp: { url: \"amqp://x\" } }, a_b: *x }", [new("GPU_EXTERNAL_SCALER__RABBITMQ__A_B__INTERVAL", "2s")])
            .Findings.Should().ContainSingle().Which.Problem.Should().StartWith("may mean each of the connections a-b, a_b");
    }

    [Fact]
    public void A_connection_that_is_an_alias_is_changed_alone()
    {
        var options = ConfigurationFile.Read("rabbitmq: { a: &x { amqp: { url: \"amqp://x\" } }, b: *x }", [new("GPU_EXTERNAL_SCALER__RABBITMQ__B__AMQP__URL", "amqp://y")]).Options!;

        options.RabbitMq["a"].Connection.Amqp!.Url.Host.Should().Be("x");
        options.RabbitMq["b"].Connection.Amqp!.Url.Host.Should().Be("y");
    }

    [Fact]
    public void Variables_that_Kubernetes_makes_from_a_Services_name_mean_nothing()
    {
        Read(("GPU_EXTERNAL_SCALER_SERVICE_HOST", "10.0.0.1"), ("GPU_EXTERNAL_SCALER_PORT", "tcp://10.0.0.1:9090")).Findings.Should().BeEmpty();
    }

    private static ConfigurationReading Read(params (string Name, string Value)[] environment) =>
        ConfigurationFile.Read(Yaml, environment.Select(static pair => KeyValuePair.Create(pair.Name, pair.Value)));
}
