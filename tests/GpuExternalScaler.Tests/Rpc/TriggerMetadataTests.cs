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
    [InlineData("modelServer=vllm", "modelServerFromEnv= vllm ")]
    [InlineData("modelServer=vllm", "modelServer=vllm;target=filter")] // the default written out
    [InlineData("modelServer=vllm;modelMemory=1Gi", "modelServer=vllm;modelMemory=1024Mi")]
    [InlineData("query=up", "query= up\n")]
    [InlineData("modelServer=vllm", "modelServer=vllm;gpu=;podRegex=")]
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
    [InlineData("queue=images", "queue=images;gpu=main")]
    [InlineData("queue=images", "queue=images;target=other")]
    [InlineData("queue=images;target=a", "queue=images;podRegex=a")]
    [InlineData("queue=images", "queue=images;modelServer=vllm")]
    [InlineData("queue=images;modelServer=a", "queue=images;prometheus=a")]
    [InlineData("queue=none", "modelServer=none")]
    [InlineData("queueRegex=none;query=up", "query=up")]
    [InlineData("queue=none;query=up", "query=up")]
    [InlineData("query=up", "query=sum(up)")]
    [InlineData("query=up;gpu=ab;target=c", "query=up;gpu=a;target=bc")]
    [InlineData("queue=a;latencyQuery=up", "queue=a;query=up")]
    public void Another_meaning_is_another_workload(string one, string other) // K8
    {
        Parse(one)!.TriggerId.Should().NotBe(Parse(other)!.TriggerId);
    }

    [Theory]
    [InlineData("queue=images", "d24cfdab32aa")]
    [InlineData("queue=b, a", "57384c7f9565")]
    [InlineData("queueRegex=image-.*", "fa17bc02b880")]
    [InlineData("queue=images;vhost=genai;rabbitmq=main;metricName=GPU-Images", "f1439bbcfa48")]
    [InlineData("queue=images;saturationThreshold=0.6;share=0.5;concurrency=4;prefetch=16;consumersPerReplica=2;serviceTime=2s;coldStart=2m;drainTime=30s;activationThreshold=5;holdFor=1h;holdAfterRecovery=10m;missingQueue=zero;mode=job", "20417cf96100")]
    public void The_id_is_the_same_in_every_process_and_version(string metadata, string id)
    {
        // Replicas behind one Service must agree (K5), and dashboards outlive an upgrade.
        Parse(metadata)!.TriggerId.Should().Be(id);
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
    [InlineData("gpuMemory=1", "give queue (a name, or several with commas between) or queueRegex, or another demand signal: modelServer, vramThreshold or query")]
    [InlineData("target=a;latencyQuery=s3cret;latencyObjective=1s", "another demand signal")]
    [InlineData("modelServer=a;vhost=s3cret", "vhost needs queue or queueRegex")]
    [InlineData("vramThreshold=0.8;rabbitmq=s3cret", "rabbitmq needs queue or queueRegex")]
    [InlineData("query=up;mode=job", "mode job needs queue or queueRegex")]
    [InlineData("queue=a;target=s3cret_name", "target")]
    [InlineData("queue=a;target=S3cret", "target")]
    [InlineData("queue=a;target=a;podRegex=a", "podRegex excludes target")]
    [InlineData("queue=a;podRegex=(s3cret", "podRegex")]
    [InlineData("queue=a;podRegex=(?=s3cret)a", "podRegex")]
    [InlineData("queue=a;vramThreshold=0", "vramThreshold must be a number from 0.01 to 1")]
    [InlineData("queue=a;vramThreshold=1.1", "vramThreshold")]
    [InlineData("queue=a;vramAggregate=sum", "vramAggregate must be total or max")]
    [InlineData("queue=a;modelMemory=40GB", "modelMemory must be a number of bytes such as 40Gi, 512Mi or 40G")]
    [InlineData("queue=a;gpusPerReplica=0", "gpusPerReplica must be auto, or a whole number from 1 to 1024")]
    [InlineData("queue=a;kvCacheThreshold=80", "kvCacheThreshold")]
    [InlineData("queue=a;latencyObjective=0s", "latencyObjective")]
    [InlineData("queue=a;latencyObjective=61m", "latencyObjective")]
    [InlineData("queue=a;query=s3cret\u200b", "query must be PromQL of at most 2048 characters, none of them invisible")]
    [InlineData("queue=a;latencyQuery=s3cret\0", "latencyQuery")]
    [InlineData("queue=a;hpaTolerance=1.5", "hpaTolerance")]
    [InlineData("queue=a;maxReplicas=0", "maxReplicas must be a whole number from 1 to 1000000")]
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

    [Theory]
    [InlineData("modelServer=vllm")]
    [InlineData("gpu=main")] // with the operator's vramThreshold
    [InlineData("vramThreshold=0.85")]
    [InlineData("query=sum(replicas)")]
    public void A_demand_may_be_another_than_a_queues(string metadata)
    {
        Parse(metadata)!.Queues.Should().BeNull();
    }

    [Fact]
    public void What_a_workload_is_about_is_read()
    {
        var trigger = Parse("modelServer=vllm;gpu=main;target=llama;prometheus=other")!;

        (trigger.ModelServer, trigger.Gpu, trigger.Target, trigger.PodPattern, trigger.Prometheus).Should().Be(("vllm", "main", "llama", null, "other"));
        Parse("modelServer=vllm;podRegex=llama-.*")!.PodPattern.Should().Be("llama-.*");
        Parse("queue=a")!.Should().Match<TriggerMetadata>(static plain =>
            plain.ModelServer == null && plain.Gpu == null && plain.Target == null && plain.PodPattern == null && plain.Prometheus == null);
    }

    [Fact]
    public void A_query_is_at_most_2048_characters()
    {
        Parse("query=" + new string('a', 2048)).Should().NotBeNull();
        TriggerMetadata.Parse("genai", "filter", Pairs("query=" + new string('a', 2049)), out var errors).Should().BeNull();
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
        var trigger = Parse("queue=a;saturationThreshold=0.6;share=0.5;concurrency=4;consumersPerReplica=2;serviceTime=2s;coldStart=2m;drainTime=30s;activationThreshold=5;holdFor=1h;holdAfterRecovery=10m;missingQueue=zero;mode=job;vramThreshold=0.85;vramAggregate=max;modelMemory=40Gi;gpusPerReplica=2;kvCacheThreshold=0.7;latencyQuery= max(x) ;latencyObjective=2s;query=sum(y);hpaTolerance=0.2;maxReplicas=20")!.Policy;
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
            VramThreshold = 0.85,
            VramAggregate = VramAggregate.Max,
            ModelMemory = 40L << 30,
            GpusPerReplica = 2,
            KvCacheThreshold = 0.7,
            LatencyQuery = "max(x)",
            LatencyObjective = TimeSpan.FromSeconds(2),
            Query = "sum(y)",
            HpaTolerance = 0.2,
            MaxReplicas = 20,
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
        Parse("queue=" + string.Join(',', Enumerable.Range(0, 100)))!.Queues!.Names.Should().HaveCount(100);
        foreach (var names in new[] { string.Join(',', Enumerable.Range(0, 101)), new string(',', 1_000_000) })
        {
            TriggerMetadata.Parse("genai", "filter", Pairs("queue=" + names), out var errors).Should().BeNull();
            errors.Should().ContainSingle().Which.Should().Contain("100");
        }
    }

    [Fact]
    public void A_list_names_each_queue_once()
    {
        Parse("queue=b, a ,b,,a")!.Queues!.Names.Should().Equal("a", "b");
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
