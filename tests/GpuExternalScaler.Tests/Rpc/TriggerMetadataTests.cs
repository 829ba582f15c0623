using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Tests.Rpc;

public class TriggerMetadataTests
{
    [Theory]
    [InlineData("queue= images ", "queue=images")] // K10: trimmed
    [InlineData("queue=images;share=", "queue=images")] // K10: empty means absent
    [InlineData("queue=images;scalerAddress=a:9090;enableTLS=true;unsafeSsl=false;caCert=xyz;tlsClientCertFromEnv=x", "queue=images")] // K9: KEDA's own keys
    [InlineData("queueFromEnv=images", "queue=images")] // K9
    [InlineData("queue=images;queueFromEnv=others", "queue=images")]
    [InlineData("share=0.5;queue=images", "queue=images;share=0.50")] // order and spelling
    [InlineData("queue=images;coldStart=60s", "queue=images;coldStart=60000")]
    [InlineData("queue=images;typo=1", "queue=images")] // K9: unknown keys do not count
    [InlineData("queue=a,b", "queue=b, a,b")]
    public void Same_meaning_is_the_same_workload(string one, string other)
    {
        Parse(one)!.TriggerId.Should().Be(Parse(other)!.TriggerId);
    }

    [Theory]
    [InlineData("queue=images", "queue=image")]
    [InlineData("queue=images", "queue=images;vhost=genai")]
    [InlineData("queue=images", "queue=images;share=0.5")]
    [InlineData("queue=images", "queueRegex=images")]
    [InlineData("queue=images", "queue=images;rabbitmq=other")]
    [InlineData("queue=images", "queue=images;metricName=other")]
    [InlineData("queue=images;vhost=ab;rabbitmq=c", "queue=images;vhost=a;rabbitmq=bc")]
    public void Another_meaning_is_another_workload(string one, string other) // K8
    {
        Parse(one)!.TriggerId.Should().NotBe(Parse(other)!.TriggerId);
    }

    [Fact]
    public void The_id_is_the_same_in_every_process_and_version()
    {
        // Replicas behind one Service must agree (K5), and dashboards outlive an upgrade.
        Parse("queue=images")!.TriggerId.Should().Be("d24cfdab32aa");
    }

    [Theory]
    [InlineData("", "queue")]
    [InlineData("queue=a;queueRegex=b", "queueRegex")]
    [InlineData("queue= , ,", "queue")]
    [InlineData("queue=a;saturationThreshold=0", "saturationThreshold")]
    [InlineData("queue=a;saturationThreshold=1.01", "saturationThreshold")]
    [InlineData("queue=a;saturationThreshold=s3cret", "saturationThreshold")]
    [InlineData("queue=a;share=0", "share")]
    [InlineData("queue=a;share=-1", "share")]
    [InlineData("queue=a;concurrency=1.5", "concurrency")]
    [InlineData("queue=a;concurrency=0", "concurrency")]
    [InlineData("queue=a;prefetch=none", "prefetch")]
    [InlineData("queue=a;prefetch=65536", "prefetch")]
    [InlineData("queue=a;consumersPerReplica=NaN", "consumersPerReplica")]
    [InlineData("queue=a;coldStart=-1s", "coldStart")]
    [InlineData("queue=a;serviceTime=0", "serviceTime")]
    [InlineData("queue=a;drainTime=soon", "drainTime")]
    [InlineData("queue=a;activationThreshold=-1", "activationThreshold")]
    [InlineData("queue=a;missingQueue=maybe", "missingQueue")]
    [InlineData("queue=a;mode=statefulset", "mode")]
    [InlineData("queue=a;metricName=s3cret_name", "metricName")]
    [InlineData("queue=a;metricName=-a", "metricName")]
    [InlineData("queueRegex=(", "queueRegex")]
    [InlineData("queueRegex=(a)\\1", "queueRegex")] // back reference
    [InlineData("queueRegex=(?=a)a", "queueRegex")] // look-around
    public void A_mistake_is_refused_by_key_and_without_its_value(string metadata, string key)
    {
        TriggerMetadata.Parse("genai", "filter", Pairs(metadata), out var errors).Should().BeNull();

        errors.Should().ContainSingle().Which.Should().Contain(key).And.NotContain("s3cret");
    }

    [Fact]
    public void Every_mistake_is_named_at_once()
    {
        TriggerMetadata.Parse("", "", Pairs("share=2;concurrency=x"), out var errors).Should().BeNull();

        errors.Should().HaveCount(5);
    }

    [Theory]
    [InlineData("Genai", "filter")]
    [InlineData("genai", "a b")]
    [InlineData("genai", "a\nb")]
    public void Names_that_Kubernetes_would_not_allow_are_refused(string @namespace, string name)
    {
        TriggerMetadata.Parse(@namespace, name, Pairs("queue=a"), out var errors).Should().BeNull();
        errors.Should().ContainSingle();
    }

    [Fact]
    public void Unknown_keys_are_named_and_KEDAs_own_are_not()
    {
        Parse("queue=a;queu=b;metricType=Value;scalerAddress=x:1;hostFromEnv=y")!.UnknownKeys
            .Should().Equal("hostFromEnv", "metricType", "queu");
    }

    [Fact]
    public void The_metric_name_has_a_default_and_is_lower_case()
    {
        Parse("queue=a")!.MetricName.Should().Be("gpu-demand"); // K14
        Parse("queue=a;metricName=GPU-Images")!.MetricName.Should().Be("gpu-images");
    }

    [Fact]
    public void Policy_keys_reach_the_policy()
    {
        var trigger = Parse("queue=a;saturationThreshold=0.6;share=0.5;concurrency=4;consumersPerReplica=2;serviceTime=2s;coldStart=2m;drainTime=30s;activationThreshold=5;holdFor=1h;holdAfterRecovery=10m;missingQueue=zero;mode=job")!.Policy;
        var policy = PolicyRules.None.Resolve("genai", "filter", trigger).Policy;

        policy.Should().Be(new ScalingPolicy
        {
            SaturationThreshold = 0.6,
            Share = 0.5,
            Concurrency = 4,
            ConsumersPerReplica = 2,
            ServiceTime = TimeSpan.FromSeconds(2),
            ColdStart = TimeSpan.FromMinutes(2),
            DrainTime = TimeSpan.FromSeconds(30),
            ActivationThreshold = 5,
            HoldFor = TimeSpan.FromHours(1),
            HoldAfterRecovery = TimeSpan.FromMinutes(10),
            MissingQueue = MissingQueuePolicy.Zero,
            Mode = WorkloadMode.Job,
        });
    }

    [Theory]
    [InlineData("image-.*", "image-1", true)]
    [InlineData("image-.*", "my-image-1", false)] // anchored at both ends
    [InlineData("a|b", "ab", false)]
    [InlineData("a|b", "b", true)]
    [InlineData("image", "image\n", false)]
    public void A_pattern_is_anchored(string pattern, string name, bool matches)
    {
        QueueSelector.Compile(pattern)!.IsMatch(name).Should().Be(matches);
    }

    [Theory]
    [InlineData("a)|(b")]
    [InlineData("(?x)a #")]
    public void A_pattern_cannot_slip_out_of_its_anchors(string pattern)
    {
        (QueueSelector.Compile(pattern)?.IsMatch("xb") ?? false).Should().BeFalse();
    }

    [Fact]
    public void A_pattern_is_at_most_256_characters()
    {
        QueueSelector.Compile(new string('a', 256)).Should().NotBeNull();
        QueueSelector.Compile(new string('a', 257)).Should().BeNull();
    }

    [Fact]
    public void A_list_holds_at_most_100_names()
    {
        Parse("queue=" + string.Join(',', Enumerable.Range(0, 100)))!.Queues.Names.Should().HaveCount(100);
        foreach (var names in new[] { string.Join(',', Enumerable.Range(0, 101)), new string(',', 1_000_000) })
        {
            TriggerMetadata.Parse("genai", "filter", Pairs("queue=" + names), out var errors).Should().BeNull();
            errors.Should().ContainSingle().Which.Should().Contain("100");
        }
    }

    [Fact]
    public void A_list_names_each_queue_once()
    {
        Parse("queue=b, a ,b,,a")!.Queues.Names.Should().Equal("a", "b");
    }

    private static TriggerMetadata? Parse(string metadata)
    {
        var parsed = TriggerMetadata.Parse("genai", "filter", Pairs(metadata), out var errors);
        errors.Should().BeEmpty();
        return parsed;
    }

    private static IEnumerable<KeyValuePair<string, string>> Pairs(string metadata) =>
        metadata.Split(';', StringSplitOptions.RemoveEmptyEntries)
            .Select(static pair => pair.Split('=', 2))
            .Select(static pair => new KeyValuePair<string, string>(pair[0], pair[1]));
}
