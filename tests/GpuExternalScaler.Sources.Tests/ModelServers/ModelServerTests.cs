using System.Globalization;
using System.Text;
using GpuExternalScaler.Sources.ModelServers;

namespace GpuExternalScaler.Sources.Tests.ModelServers;

public class ModelServerTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void T14_a_capture_of_vLLM()
    {
        var reader = Reader();
        reader.TakePage(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "ModelServers", "Data", "vllm_kops_1.35.txt")), "ml", "p", "p:8000");

        var reading = reader.Finish();

        reading.Pods.Should().Equal(new ModelServerPod
        {
            Namespace = "ml",
            Pod = "p",
            Kind = ModelServerKind.Vllm,
            Waiting = 0,
            Running = 0,
            CacheFill = 0,
            SampledAt = Now,
        });
        reading.Refused.Should().BeEmpty();
    }

    [Fact]
    public void A_flood_of_series_is_cut_off_and_said_to_be()
    {
        var reader = Reader();
        for (var page = 0; page < 3; page++)
        {
            var text = new StringBuilder();
            for (var line = 0; line < 50_000; line++)
            {
                text.Append(CultureInfo.InvariantCulture, $"vllm:num_requests_waiting{{model_name=\"{page}-{line}\"}} 1\n");
            }

            reader.TakePage(Encoding.ASCII.GetBytes(text.ToString()), "ml", "p", "p:8000");
        }

        var flooded = reader.Finish();
        (flooded.IsOverfull, flooded.Pods.Single().Waiting).Should().Be((true, ModelServerSampleReader.MostSeries));
        flooded.Refused.Single().Should().Match<RefusedSamples>(static refused => refused.Reason == SampleRefusal.TooMany && refused.Count == 50_000);

        reader.Begin(Now);
        reader.TakePage("vllm:num_requests_waiting 1\n"u8, "ml", "p", "p:8000");
        reader.Finish().IsOverfull.Should().BeFalse();
    }

    [Theory]
    [InlineData("vllm:num_requests_waiting{m} 3|vllm:num_requests_running{m} 5|vllm:kv_cache_usage_perc{m} 0.25", "Vllm 3 5 0.25")]
    [InlineData("vllm:num_requests_waiting{m} 3|vllm:num_requests_running{m} 5|vllm:gpu_cache_usage_perc{m} 0.25", "Vllm 3 5 0.25")]
    [InlineData("vllm:gpu_cache_usage_perc{m} 0.25|vllm:kv_cache_usage_perc{m} 0.25", "Vllm - - 0.25")]
    [InlineData("sglang:num_queue_reqs{m} 3|sglang:num_running_reqs{m} 5|sglang:token_usage{m} 0.25", "SgLang 3 5 0.25")]
    [InlineData("tgi_queue_size 3|tgi_batch_current_size 5", "Tgi 3 5 -")]
    [InlineData("nv_inference_pending_request_count{model=\"a\",version=\"1\"} 3|nv_inference_pending_request_count{model=\"b\",version=\"1\"} 4", "Triton 7 - -")]
    [InlineData("nv_inference_pending_request_count{model=\"a\",version=\"1\"} 3|vllm:num_requests_waiting{m} 3", "Vllm 3 - -")]
    [InlineData("vllm:num_requests_waiting_by_reason{m} 3|vllm:num_requests_waiting_total 9", null)]
    public void T14_each_servers_names(string lines, string? expected)
    {
        Lines(lines.Replace("{m}", "{model_name=\"m\"}", StringComparison.Ordinal)).Should().Equal(expected is null ? [] : ["ml/p " + expected]);
    }

    [Fact]
    public void Counts_are_added_over_models_and_engines_and_the_fullest_cache_counts()
    {
        Lines("""
            vllm:num_requests_waiting{engine="0",model_name="a"} 1|vllm:num_requests_waiting{engine="1",model_name="a"} 2
            vllm:num_requests_waiting{engine="0",model_name="b"} 4|vllm:num_requests_running{engine="0",model_name="a"} 8
            vllm:kv_cache_usage_perc{engine="0",model_name="a"} 0.1|vllm:kv_cache_usage_perc{engine="1",model_name="a"} 0.9
            """).Should().Equal("ml/p Vllm 7 8 0.9");
    }

    [Fact]
    public void Ranks_of_one_engine_and_priorities_beside_their_total_count_once()
    {
        Lines("""
            sglang:num_queue_reqs{model_name="m",tp_rank="0",pp_rank="0",priority=""} 5|sglang:num_queue_reqs{model_name="m",tp_rank="1",pp_rank="0",priority=""} 5
            sglang:num_queue_reqs{model_name="m",tp_rank="0",pp_rank="0",priority="1"} 3|sglang:num_queue_reqs{model_name="m",tp_rank="0",pp_rank="0",priority="2"} 2
            """).Should().Equal("ml/p SgLang 5 - -");
        Lines("""
            sglang:num_queue_reqs{model_name="m",dp_rank="0",tp_rank="0"} 5|sglang:num_queue_reqs{model_name="m",dp_rank="1",tp_rank="1"} 5
            """).Should().Equal(["ml/p SgLang 10 - -"], "data-parallel ranks have queues of their own");
    }

    [Fact]
    public void Order_and_repetition_change_nothing()
    {
        const string Text = "vllm:num_requests_waiting{engine=\"0\"} 1|vllm:num_requests_waiting{engine=\"1\"} 2|vllm:num_requests_running{engine=\"0\"} 3";

        Lines(string.Join('|', Text.Split('|').Reverse())).Should().Equal(Lines(Text));
        Lines(Text + "|" + Text).Should().Equal(Lines(Text)).And.Equal("ml/p Vllm 3 3 -");
    }

    [Theory]
    [InlineData("NaN")]
    [InlineData("+Inf")]
    [InlineData("-1")]
    [InlineData("1e10")]
    [InlineData("ERROR")]
    public void T16_a_bad_sample_loses_itself(string value)
    {
        Lines($"vllm:num_requests_waiting{{engine=\"0\"}} {value}|vllm:num_requests_running{{engine=\"0\"}} 3").Should().Equal("ml/p Vllm - 3 -");
    }

    [Fact]
    public void A_fill_above_1_is_no_fill_but_rounding_is_forgiven()
    {
        Lines("vllm:kv_cache_usage_perc 90|vllm:num_requests_running 1").Should().Equal("ml/p Vllm - 1 -");
        Lines("vllm:kv_cache_usage_perc 1.0000001").Should().Equal("ml/p Vllm - - 1");
    }

    [Fact]
    public void Prometheus_results_name_their_pod_and_two_scrapes_of_one_server_count_once()
    {
        var reader = Reader();
        Take("p", "10.0.0.1:8000", "by-service", 3, 10);
        Take("p", "10.0.0.1:8000", "by-pod", 3, 12);
        Take("p", "10.0.0.1:8001", "by-pod", 4, 12);
        Take("q", "10.0.0.2:8000", "by-pod", 5, 59);
        Take("r", "10.0.0.3:8000", "by-pod", 5, 61);
        Take("", "10.0.0.4:8000", "by-pod", 5, 1);

        var reading = reader.Finish();

        reading.Pods.Select(Line).Should().Equal("ml/p Vllm 7 - -", "ml/q Vllm 5 - -");
        reading.Pods[0].SampledAt.Should().Be(Now.AddSeconds(-12));
        reading.Refused.Should().Equal(new RefusedSamples(SampleRefusal.NoPod, 1, ""), new RefusedSamples(SampleRefusal.Stale, 1, ""));

        void Take(string pod, string instance, string job, double value, int age) => reader.Take(
            ModelServerMetric.Find("vllm:num_requests_waiting"u8)!,
            new Dictionary<string, string> { ["pod"] = pod, ["namespace"] = "ml", ["instance"] = instance, ["job"] = job, ["model_name"] = "m" },
            value,
            Now.AddSeconds(-age));
    }

    private static ModelServerSampleReader Reader()
    {
        var reader = new ModelServerSampleReader(TimeSpan.FromSeconds(60));
        reader.Begin(Now);
        return reader;
    }

    private static List<string> Lines(string text)
    {
        var reader = Reader();
        reader.TakePage(Encoding.UTF8.GetBytes(text.Replace('|', '\n').ReplaceLineEndings("\n") + "\n"), "ml", "p", "p:8000");
        return [.. reader.Finish().Pods.Select(Line)];
    }

    private static string Line(ModelServerPod pod) =>
        $"{pod.Namespace}/{pod.Pod} {pod.Kind} {pod.Waiting?.ToString() ?? "-"} {pod.Running?.ToString() ?? "-"} {pod.CacheFill?.ToString() ?? "-"}";
}
