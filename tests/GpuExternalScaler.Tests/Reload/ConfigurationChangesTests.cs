using GpuExternalScaler.Configuration;
using GpuExternalScaler.Reload;

namespace GpuExternalScaler.Tests.Reload;

public class ConfigurationChangesTests
{
    private const string Before = """
        rabbitmq:
          main:
            metrics: { urls: ["http://a:15692"] }
            management: { url: "http://a:15672", username: scaler, passwordFile: /old }
          other: { metrics: { dns: "others:15692" } }
        prometheus:
          main: { url: "http://p:9090", headers: { X-Scope-OrgID: s3cret }, bearerTokenFile: /token }
        gpu:
          main: { kind: dcgm, prometheus: main }
        modelServers:
          vllm: { kind: vllm, urls: ["http://v:8000/metrics"] }
        evaluation: { interval: 1s }
        defaults: { coldStart: 60s, saturationThreshold: 0.7, modelMemory: 40Gi, latencyQuery: max(s3cret) }
        workloads:
          genai/*: { share: 0.5, coldStart: 2m }
          genai/filter: { queue: images, rabbitmq: main }
        """;

    [Theory]
    [InlineData("", "")]
    [InlineData("60s=>1m", "")]
    [InlineData("60s=>90s", "defaults.coldStart (1m to 1m30s)")]
    [InlineData("coldStart: 60s, =>", "defaults.coldStart (removed)")]
    [InlineData("coldStart: 60s,=>coldStart: 60s, prefetch: 4,", "defaults.prefetch (added: 4)")]
    [InlineData("interval: 1s=>interval: 500ms", "evaluation.interval (1s to 500ms)")]
    [InlineData("http://a:15692=>http://b:15692", "rabbitmq.main.metrics.urls (http://a:15692 to http://b:15692)")]
    [InlineData("/old=>/new", "rabbitmq.main.management.passwordFile (changed)")]
    [InlineData("  other: { metrics: { dns: \"others:15692\" } }\n=>", "rabbitmq.other (removed)")]
    [InlineData("  other:=>  third: { metrics: { dns: \"third:15692\" } }\n  other:", "rabbitmq.third (added)")]
    [InlineData("share: 0.5, =>", "workloads.genai/*.share (removed)")]
    [InlineData("share: 0.5=>share: 0.6", "workloads.genai/*.share (0.5 to 0.6)")]
    [InlineData("queue: images=>queue: videos", "workloads.genai/filter.queue (images to videos)")]
    [InlineData("  genai/*:=>  team/*:", "workloads.genai/* (removed)", "workloads.team/* (added)")]
    [InlineData("OrgID: s3cret=>OrgID: other", "prometheus.main.headers (changed)")]
    [InlineData("X-Scope-OrgID=>X-Tenant", "prometheus.main.headers (changed)")]
    [InlineData("/token=>/other", "prometheus.main.bearerTokenFile (changed)")]
    [InlineData("http://p:9090=>http://q:9090", "prometheus.main.url (http://p:9090 to http://q:9090)")]
    [InlineData("dcgm, prometheus: main=>dcgm, dns: \"e:9400\"", "gpu.main.prometheus (main to nothing)", "gpu.main.dns (nothing to e:9400)", "gpu.main.interval (nothing to 10s)")]
    [InlineData("vllm: {=>tgi: {", "modelServers.vllm (removed)", "modelServers.tgi (added)")]
    [InlineData("max(s3cret)=>min(s3cret)", "defaults.latencyQuery (changed)")]
    [InlineData(", latencyQuery: max(s3cret)=>", "defaults.latencyQuery (removed)")]
    [InlineData("latencyQuery: max=>query: sum(s3cret), latencyQuery: max", "defaults.query (added)")]
    [InlineData("40Gi=>40G", "defaults.modelMemory (40Gi to 40G)")]
    [InlineData("rabbitmq: main }=>rabbitmq: main, target: other }", "workloads.genai/filter.target (added: other)")]
    public void Each_key_that_differs_is_named_and_nothing_else(string edit, params string[] changes)
    {
        var parts = edit.Split("=>");
        var after = parts.Length == 2 ? Before.Replace(parts[0], parts[1], StringComparison.Ordinal) : Before;
        (parts.Length < 2 || after != Before).Should().BeTrue("the edit must do something");

        ConfigurationChanges.Between(Parse(Before), Parse(after)).Should().Equal(changes.Where(static change => change.Length > 0));
    }

    private static ScalerOptions Parse(string yaml)
    {
        var options = ConfigurationFile.Parse(yaml, out var errors);
        errors.Should().BeEmpty();
        return options!;
    }
}
