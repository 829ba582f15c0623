using System.Globalization;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>A pod that runs vLLM, with the part of its metrics page that matters and some that does not.</summary>
public sealed class ModelServerPod : IAsyncDisposable
{
    private readonly ScriptedExporter _exporter = new("");

    public ModelServerPod(string name)
    {
        Name = name;
        Show(0, 0, 0);
    }

    public string Name { get; }

    public Uri Url => new($"http://{_exporter.Address}/metrics");

    public ScrapeTarget Target => new("vllm-" + Name, _exporter.Address) { Labels = [("namespace", "genai"), ("pod", Name)] };

    public ModelServerPod Show(double waiting, double running, double fill)
    {
        const string Labels = "{engine=\"0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"}";
        _exporter.Page = string.Create(CultureInfo.InvariantCulture, $"""
            # HELP vllm:num_requests_running Number of requests in model execution batches.
            # TYPE vllm:num_requests_running gauge
            vllm:num_requests_running{Labels} {running:0.0}
            # HELP vllm:num_requests_waiting Number of requests waiting to be processed.
            # TYPE vllm:num_requests_waiting gauge
            vllm:num_requests_waiting{Labels} {waiting:0.0}
            # HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
            # TYPE vllm:kv_cache_usage_perc gauge
            vllm:kv_cache_usage_perc{Labels} {fill}
            # HELP vllm:prompt_tokens_total Number of prefill tokens processed.
            # TYPE vllm:prompt_tokens_total counter
            vllm:prompt_tokens_total{Labels} 4817.0

            """);
        return this;
    }

    public Task KillAsync() => _exporter.StopAsync();

    public void Revive() => _exporter.Start();

    public async ValueTask DisposeAsync() => await _exporter.DisposeAsync();
}
