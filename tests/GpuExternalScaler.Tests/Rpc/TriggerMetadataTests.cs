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
    [InlineData("queue=a;coldStart=auto", "queue=a;coldStart=auto 1m")]
    [InlineData("queue=a;waitObjective=99% within 5s", "queue=a;waitObjective=99.0 %within 5000")]
    [InlineData("queue=a;schedule=0 8 * * 1-5 / 10h: 4", "queue=a;schedule=\n0  8 * * 1-5/600m :4.0\n\n")]
    [InlineData("queue=a;schedule=0 8 * * MON / 10h: 4", "queue=a;schedule=0 8 * * mon / 10h: 4")]
    [InlineData("queue=a;timeZone=Europe/Berlin", "queue=a;timeZone=europe/berlin")]
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
    [InlineData("queue=a;coldStart=60s", "queue=a;coldStart=auto")]
    [InlineData("queue=a;coldStart=auto", "queue=a;coldStart=auto 30s")]
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
    [InlineData("queue=a;coldStart=auto s3cret", "coldStart must be a duration such as 90s or 1m30s, from 0s to 24h; or auto, or auto and a duration from 1s, such as auto 30s")]
    [InlineData("queue=a;coldStart=auto 0s", "coldStart must")]
    [InlineData("queue=a;coldStart=auto 25h", "coldStart must")]
    [InlineData("queue=a;waitObjective=5s", "waitObjective must begin with a share of the messages in percent, such as 99% within 5s")]
    [InlineData("queue=a;waitObjective=100% within 5s", "waitObjective must begin with a share above 0% and below 100%")]
    [InlineData("queue=a;waitObjective=0% within 5s", "above 0%")]
    [InlineData("queue=a;waitObjective=-5% within 5s", "above 0%")]
    [InlineData("queue=a;waitObjective=99.99999999% within 5s", "at most 6 decimals")]
    [InlineData("queue=a;waitObjective=s3cret% within 5s", "above 0%")]
    [InlineData("queue=a;waitObjective=99% s3cret 5s", "waitObjective must say within which time, such as 99% within 5s")]
    [InlineData("queue=a;waitObjective=99% within s3cret", "waitObjective must end with a duration such as 500ms or 5s, from 1ms to 24h")]
    [InlineData("queue=a;waitObjective=99% within 0s", "waitObjective must end with a duration")]
    [InlineData("queue=a;waitObjective=99% within 25h", "waitObjective must end with a duration")]
    [InlineData("queue=a;waitObjective=99% within 5s or s3cret", "waitObjective must end with a duration")]
    [InlineData("queue=a;forecast=always", "forecast must be one of auto, off, trend, seasonal")]
    [InlineData("queue=a;forecastQuantile=0.4", "forecastQuantile must be a number from 0.5 to 0.999")]
    [InlineData("queue=a;forecastQuantile=1", "forecastQuantile")]
    [InlineData("queue=a;forecastQuantile=NaN", "forecastQuantile")]
    [InlineData("queue=a;warmReplicas=-1", "warmReplicas must be a whole number from 0 to 10000")]
    [InlineData("queue=a;warmReplicas=10001", "warmReplicas")]
    [InlineData("queue=a;warmReplicas=1.5", "warmReplicas")]
    [InlineData("queue=a;timeZone=Europe/S3cret", "timeZone must be an IANA time zone that the scaler's machine has data of, such as UTC or Europe/Berlin")]
    [InlineData("queue=a;timeZone=+02:00", "timeZone must be the IANA name of a time zone, such as Europe/Berlin: neither an offset nor the name that Windows has for it")]
    [InlineData("queue=a;timeZone=W. Europe Standard Time", "neither an offset nor the name that Windows has for it")]
    [InlineData("queue=a;timeZone=../../../etc/passwd", "timeZone must be the IANA name")]
    [InlineData("queue=a;schedule=s3cret", "schedule must be five fields of cron, a slash, a duration, a colon and a number of replicas, such as 0 8 * * 1-5 / 10h: 4")]
    [InlineData("queue=a;schedule=0 8 * * 1-5 / 10h: 4\ns3cret", "schedule has a mistake in its window 2: it must be five fields of cron")]
    [InlineData("queue=a;schedule=0 0 8 * * 1-5 / 10h: 4", "schedule must have five fields of cron before the slash (minute, hour, day of the month, month, day of the week); it has 6")]
    [InlineData("queue=a;schedule=@daily / 10h: 4", "it has 1")]
    [InlineData("queue=a;schedule=0 s3cret * * 1-5 / 10h: 4", "schedule must have before the slash what cron allows; the field that is wrong is the hour")]
    [InlineData("queue=a;schedule=60 8 * * 1-5 / 10h: 4", "the field that is wrong is the minute")]
    [InlineData("queue=a;schedule=0 8 * * 1-8 / 10h: 4", "the field that is wrong is the day of the week")]
    [InlineData("queue=a;schedule=H 8 * * * / 10h: 4", "the field that is wrong is the minute")]
    [InlineData("queue=a;schedule=0 8 30 2 * / 10h: 4", "schedule must name a moment that comes: no month has such a day")]
    [InlineData("queue=a;schedule=0 8 * * * / s3cret: 4", "schedule must have a duration such as 10h or 1h30m between slash and colon, from 1m to 8784h")]
    [InlineData("queue=a;schedule=0 8 * * * / 30s: 4", "schedule must have a duration")]
    [InlineData("queue=a;schedule=0 8 * * * / 10h: s3cret", "schedule must have a whole number of replicas after the colon, from 1 to 1000000")]
    [InlineData("queue=a;schedule=0 8 * * * / 10h: 0", "schedule must have a whole number")]
    [InlineData("queue=a;schedule=0 8 * * * / 10h: 1.5", "schedule must have a whole number")]
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
        var trigger = Parse("queue=a;saturationThreshold=0.6;share=0.5;concurrency=4;consumersPerReplica=2;serviceTime=2s;coldStart=2m;drainTime=30s;activationThreshold=5;holdFor=1h;holdAfterRecovery=10m;missingQueue=zero;mode=job;vramThreshold=0.85;vramAggregate=max;modelMemory=40Gi;gpusPerReplica=2;kvCacheThreshold=0.7;latencyQuery= max(x) ;latencyObjective=2s;query=sum(y);hpaTolerance=0.2;maxReplicas=20;waitObjective=99.9%within 1500;forecast=trend;forecastQuantile=0.95;warmReplicas=2;schedule=0 8 * * mon-fri/10h:4\n*/15 0 1,3 * * / 24h: 1;timeZone=europe/berlin")!.Policy;
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
            WaitObjective = new WaitObjective(0.999, TimeSpan.FromSeconds(1.5)),
            Forecast = ForecastMode.Trend,
            ForecastQuantile = 0.95,
            WarmReplicas = 2,
            Schedule = "0 8 * * MON-FRI / 10h: 4; */15 0 1,3 * * / 24h: 1",
            TimeZone = "Europe/Berlin",
        });
        PolicyKeys.All.Values.Select(static key => key.Show(new ScalingPolicy
        {
            ColdStart = TimeSpan.FromSeconds(30),
            MeasuresColdStart = true,
            WaitObjective = new WaitObjective(0.999, TimeSpan.FromSeconds(1.5)),
        })).Should().Contain(["auto 30s", "99.9% within 1500ms"]);
        PolicyKeys.All[PolicyKeys.ColdStart].Show(new ScalingPolicy { MeasuresColdStart = true }).Should().Be("auto");
    }

    [Theory]
    [InlineData("auto", 60, true)]
    [InlineData("auto 30s", 30, true)]
    [InlineData("30s", 30, false)]
    public void A_cold_start_is_given_or_measured(string text, int begin, bool isMeasured)
    {
        // A length in an entry is the operator's last word, also on whether it is measured.
        var file = ConfigurationFile.Parse($"workloads: {{ genai/filter: {{ coldStart: {text} }} }}", out _)!;

        var policy = file.Policies.Resolve("genai", "filter", Parse("queue=a;coldStart=auto 45s")!.Policy).Policy;

        (policy.ColdStart, policy.MeasuresColdStart).Should().Be((TimeSpan.FromSeconds(begin), isMeasured));
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
