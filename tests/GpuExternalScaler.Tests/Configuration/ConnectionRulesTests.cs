using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;

namespace GpuExternalScaler.Tests.Configuration;

public class ConnectionRulesTests
{
    private const string None = "{}";

    private const string One = """
        rabbitmq: { mq: { amqp: { url: "amqp://x" } } }
        prometheus: { prom: { url: "http://p" } }
        gpu: { gpus: { kind: dcgm, prometheus: prom } }
        modelServers: { vllm: { kind: vllm, prometheus: prom } }
        """;

    private const string Several = """
        rabbitmq: { mq: { amqp: { url: "amqp://x" } }, mq2: { amqp: { url: "amqp://x" }, namespaces: [team] } }
        prometheus: { open: { url: "http://p", allowTriggerQueries: true }, prom: { url: "http://p" }, theirs: { url: "http://p", allowTriggerQueries: true, namespaces: [team] } }
        gpu: { direct: { kind: dcgm, dns: "e:9400" }, gpus: { kind: dcgm, prometheus: prom }, open: { kind: dcgm, prometheus: open }, theirs: { kind: dcgm, prometheus: theirs, namespaces: [team] } }
        modelServers: { open: { kind: vllm, prometheus: open }, theirs: { kind: vllm, prometheus: theirs, namespaces: [team] } }
        """;

    [Theory]
    [InlineData(One, "queue=a")]
    [InlineData(None, "queue=a", "no RabbitMQ connection is configured")]
    [InlineData(Several, "queue=a", "several RabbitMQ connections are configured (mq): name one with the key rabbitmq")]
    [InlineData(Several, "queue=a;rabbitmq=mq")]
    [InlineData(Several, "queue=a;rabbitmq=s3cret", "the RabbitMQ connection named by the key rabbitmq is not configured; configured: mq")]
    [InlineData(Several, "queue=a;rabbitmq=mq2", "the RabbitMQ connection is not for this namespace: its namespaces do not include it")]
    [InlineData(None, "gpu=s3cret")] // no vramThreshold is in force
    [InlineData(None, "vramThreshold=0.8", "no GPU connection is configured")]
    [InlineData(One, "vramThreshold=0.8")]
    [InlineData(One, "vramThreshold=0.8;gpu=s3cret", "the GPU connection named by the key gpu is not configured; configured: gpus")]
    [InlineData(Several, "vramThreshold=0.8", "several GPU connections are configured (direct, gpus, open): name one with the key gpu")]
    [InlineData(Several, "vramThreshold=0.8;gpu=gpus")]
    [InlineData(Several, "vramThreshold=0.8;gpu=theirs", "the GPU connection is not for this namespace: its namespaces do not include it")]
    [InlineData(None, "modelServer=s3cret", "no model server connection is configured")]
    [InlineData(One, "modelServer=s3cret", "the model server connection named by the key modelServer is not configured; configured: vllm")]
    [InlineData(One, "modelServer=vllm")]
    [InlineData(Several, "modelServer=theirs", "the model server connection is not for this namespace: its namespaces do not include it")]
    [InlineData(One, "modelServer=vllm;prometheus=s3cret")] // no query is in force
    [InlineData(None, "query=s3cret", "no Prometheus connection is configured")]
    [InlineData(One, "query=s3cret", "the Prometheus connection takes no latencyQuery and no query from trigger metadata: its allowTriggerQueries is not true")]
    [InlineData(Several, "query=s3cret", "several Prometheus connections are configured (open, prom): name one with the key prometheus")]
    [InlineData(Several, "query=s3cret;prometheus=s3cret", "the Prometheus connection named by the key prometheus is not configured; configured: open, prom")]
    [InlineData(Several, "query=s3cret;prometheus=open")]
    [InlineData(Several, "query=s3cret;prometheus=theirs", "the Prometheus connection is not for this namespace: its namespaces do not include it")]
    [InlineData(Several, "query=s3cret;vramThreshold=0.8;gpu=open")] // read through the same
    [InlineData(Several, "query=s3cret;vramThreshold=0.8;gpu=gpus", "the Prometheus connection takes no latencyQuery *")]
    [InlineData(Several, "query=s3cret;vramThreshold=0.8;gpu=gpus;prometheus=open")]
    [InlineData(Several, "query=s3cret;modelServer=open")]
    [InlineData(Several, "query=s3cret;vramThreshold=0.8;gpu=direct;modelServer=open")]
    [InlineData(Several, "query=s3cret;vramThreshold=0.8;gpu=direct", "several Prometheus connections *")]
    [InlineData(Several, "latencyQuery=s3cret;latencyObjective=1s;modelServer=open;prometheus=prom", "the Prometheus connection takes no latencyQuery *")]
    [InlineData(None, "queue=a;vramThreshold=0.8;modelServer=a;query=up", "no RabbitMQ connection is configured", "no GPU connection is configured", "no model server connection is configured", "no Prometheus connection is configured")]
    public void What_keeps_a_trigger_from_its_connections_is_told(string yaml, string metadata, params string[] sentences)
    {
        var (options, trigger) = (Parse(yaml), Trigger(metadata));
        var policy = options.Policies.Resolve("genai", "filter", trigger.Policy).Policy;

        var problems = ConnectionRules.Problems(trigger, policy, options).Select(static problem => problem.Sentence).ToList();

        problems.Should().HaveCount(sentences.Length).And.NotContain(static sentence => sentence.Contains("s3cret", StringComparison.Ordinal) || sentence.Contains("mq2", StringComparison.Ordinal) || sentence.Contains("theirs", StringComparison.Ordinal));
        problems.Zip(sentences).Should().NotContain(static pair => !WorksAs(pair.First, pair.Second));
        ConnectionRules.WhyNoConnection(trigger, policy, options).Should().Be(problems.FirstOrDefault());
        (ConnectionRules.PrometheusOf(trigger, policy, options) is not null).Should().Be(metadata.Contains("uery=", StringComparison.Ordinal) && !problems.Exists(static sentence => sentence.Contains("Prometheus", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("modelServer=vllm", null)] // the operator's own query needs no permission
    [InlineData("modelServer=vllm;query=up", "the Prometheus connection takes no *")] // overruled all the same
    public void Queries_of_the_operators_file_need_no_permission(string metadata, string? sentence)
    {
        var options = Parse(One + "\nworkloads: { genai/filter: { query: sum(replicas) } }");
        var trigger = Trigger(metadata);
        var policy = options.Policies.Resolve("genai", "filter", trigger.Policy).Policy;

        var why = ConnectionRules.WhyNoConnection(trigger, policy, options);

        (sentence is null ? why is null : WorksAs(why!, sentence)).Should().BeTrue();
    }

    [Fact]
    public void The_connections_meant_are_found()
    {
        var (options, trigger) = (Parse(Several), Trigger("queue=a;rabbitmq=mq;query=up;vramThreshold=0.8;gpu=open;modelServer=open"));
        var policy = options.Policies.Resolve("genai", "filter", trigger.Policy).Policy;

        ConnectionRules.GpuOf(trigger, policy, options).Should().BeSameAs(options.Gpu["open"]);
        ConnectionRules.ModelServersOf(trigger, options).Should().BeSameAs(options.ModelServers["open"]);
        ConnectionRules.PrometheusOf(trigger, policy, options).Should().BeSameAs(options.Prometheus["open"]);
    }

    [Theory]
    [InlineData("vramThreshold=0.8;gpu=gpus", "prom")]
    [InlineData("vramThreshold=0.8;gpu=gpus;prometheus=open", "open")]
    [InlineData("vramThreshold=0.8;gpu=gpus;prometheus=theirs", "prom")] // not for this namespace
    [InlineData("vramThreshold=0.8;gpu=direct;prometheus=theirs", null)]
    [InlineData("vramThreshold=0.8;gpu=direct;prometheus=s3cret", null)]
    [InlineData("vramThreshold=0.8;gpu=direct;modelServer=open", "open")]
    [InlineData("vramThreshold=0.8;gpu=direct;prometheus=prom", "prom")]
    [InlineData("query=up;prometheus=open", "open")]
    [InlineData("queue=a;rabbitmq=mq", null)]
    public void Replicas_are_looked_up_where_the_trigger_may_look(string metadata, string? name)
    {
        var (options, trigger) = (Parse(Several), Trigger(metadata));
        var policy = options.Policies.Resolve("genai", "filter", trigger.Policy).Policy;

        ConnectionRules.PrometheusOfReplicas(trigger, policy, options).Should().Be(name);
    }

    private static bool WorksAs(string sentence, string expected) =>
        expected.EndsWith('*') ? sentence.StartsWith(expected[..^1], StringComparison.Ordinal) : sentence == expected;

    private static ScalerOptions Parse(string yaml)
    {
        var options = ConfigurationFile.Parse(yaml, out var errors);
        errors.Should().BeEmpty();
        return options!;
    }

    private static TriggerMetadata Trigger(string metadata)
    {
        var pairs = metadata.Split(';').Select(static pair => pair.Split('=', 2)).Select(static pair => KeyValuePair.Create(pair[0], pair[1]));
        var trigger = TriggerMetadata.Parse("genai", "filter", pairs, out var errors);
        errors.Should().BeEmpty();
        return trigger!;
    }
}
