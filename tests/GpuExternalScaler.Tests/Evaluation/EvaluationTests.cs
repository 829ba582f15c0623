using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Evaluation;

/// <summary>
/// The real server inside the test, with a page that stands in for a broker: a hung evaluation loop cannot be provoked
/// from outside a process, and a broker with thousands of long names takes too long to fill.
/// </summary>
public sealed class EvaluationTests
{
    [Fact]
    public async Task A_loop_that_no_longer_turns_leads_to_Unavailable_and_not_to_a_frozen_answer()
    {
        await using var broker = await StartBrokerAsync();
        await using var server = await StartServerAsync(broker);
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var request = Request();
        await UntilAsync(async () => (await client.GetMetricsAsync(request)).MetricValues[0].MetricValue_ == 1000);

        await server.Services.GetRequiredService<EvaluationLoop>().StopAsync(CancellationToken.None);
        RpcException? refusal = null;
        await UntilAsync(async () =>
        {
            try
            {
                // Held while it is valid, and never another number.
                (await client.GetMetricsAsync(request)).MetricValues[0].MetricValue_.Should().Be(1000);
                return false;
            }
            catch (RpcException exception)
            {
                refusal = exception;
                return true;
            }
        });

        refusal!.StatusCode.Should().Be(StatusCode.Unavailable);
        refusal.Status.Detail.Should().StartWith("evaluation stalled");
        server.Services.GetRequiredService<CurrentConfiguration>().Current.Brokers.All[0].Source.Current.Fault.Should().BeNull("the sweeps went on");
        (await client.GetMetricSpecAsync(request.ScaledObjectRef)).MetricSpecs.Should().ContainSingle("K12");
    }

    [Fact]
    public async Task A_stream_opened_while_evaluation_was_stalled_hears_the_state_when_it_goes_on()
    {
        await using var broker = await StartBrokerAsync();
        await using var server = await StartServerAsync(broker);
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var request = Request();
        await UntilAsync(async () => (await client.IsActiveAsync(request.ScaledObjectRef)).Result);
        var loop = server.Services.GetRequiredService<EvaluationLoop>();
        await loop.StopAsync(CancellationToken.None);
        await UntilAsync(async () =>
        {
            try
            {
                await client.IsActiveAsync(request.ScaledObjectRef);
                return false;
            }
            catch (RpcException)
            {
                return true;
            }
        });

        using var call = client.StreamIsActive(request.ScaledObjectRef);
        var first = call.ResponseStream.MoveNext(CancellationToken.None);
        await loop.StartAsync(CancellationToken.None);

        (await first.WaitAsync(TimeSpan.FromSeconds(20))).Should().BeTrue();
        call.ResponseStream.Current.Result.Should().BeTrue();
    }

    [Fact]
    public async Task A_pattern_that_takes_too_long_is_refused_and_nobody_else_notices()
    {
        // Random letters, so that its automaton never settles.
        var random = new Random(1);
        await using var broker = await StartBrokerAsync(Enumerable.Range(0, 1200).Select(_ => new string(random.GetItems("abcd".AsSpan(), 100))));
        await using var server = await StartServerAsync(broker);
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var honest = Request();
        await UntilAsync(async () => (await client.GetMetricsAsync(honest)).MetricValues[0].MetricValue_ == 1000);
        var hostile = new ScaledObjectRef { Name = "hostile", Namespace = "genai", ScalerMetadata = { ["queueRegex"] = "(.{0,50}a){1,5}.*" } };

        RpcException? refusal = null;
        await UntilAsync(async () =>
        {
            (await client.GetMetricsAsync(honest)).MetricValues[0].MetricValue_.Should().Be(1000);
            try
            {
                await client.IsActiveAsync(hostile);
            }
            catch (RpcException exception) when (exception.StatusCode == StatusCode.FailedPrecondition)
            {
                refusal = exception;
            }

            return refusal is not null;
        });

        refusal!.Status.Detail.Should().Contain("queueRegex");
        (await client.GetMetricsAsync(honest)).MetricValues[0].MetricValue_.Should().Be(1000);
    }

    [Fact]
    public async Task A_virtual_host_that_the_connection_does_not_read_is_said()
    {
        await using var broker = await StartBrokerAsync();
        await using var server = await StartServerAsync(broker, "/");
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var elsewhere = new ScaledObjectRef { Name = "elsewhere", Namespace = "genai", ScalerMetadata = { ["queue"] = "images", ["vhost"] = "other" } };

        string? detail = null;
        await UntilAsync(async () =>
        {
            try
            {
                await client.IsActiveAsync(elsewhere);
            }
            catch (RpcException exception) when (exception.StatusCode == StatusCode.Unavailable)
            {
                detail = exception.Status.Detail;
            }

            return detail?.Contains("vhost", StringComparison.Ordinal) ?? false;
        });

        detail.Should().StartWith("not_sampled: ").And.Contain("'main'");
    }

    [Theory]
    [InlineData("queueRegex", "images-.*")]
    [InlineData("queue", "images-2")]
    public async Task A_deleted_queue_of_a_pattern_is_wanted_no_longer_than_holdFor(string key, string value)
    {
        var isThere = true;
        await using var broker = await StartBrokerAsync(() => "# TYPE rabbitmq_detailed_queue_info gauge\n" + (Volatile.Read(ref isThere) ? Lines("images-2") : ""));
        await using var server = await StartServerAsync(broker, more: "amqp: { url: \"amqp://127.0.0.1:1\" }, ");
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var interest = server.Services.GetRequiredService<CurrentConfiguration>().Current.Brokers.All[0].Source.Interest;
        var pattern = new ScaledObjectRef { Name = "pattern", Namespace = "genai", ScalerMetadata = { ["queueRegex"] = "images.*", ["holdFor"] = "1s" } };
        await UntilAsync(async () => await client.IsActiveAsync(pattern) is not null && interest.Wanted.Count == 2);

        Volatile.Write(ref isThere, false);
        await UntilAsync(() => Task.FromResult(interest.Wanted.Count == 1));
        interest.Wanted.Should().ContainSingle().Which.Name.Should().Be("images");

        // Somebody holds for longer, or names it, and then it is wanted, there or not.
        var other = new ScaledObjectRef { Name = "other", Namespace = "genai", ScalerMetadata = { [key] = value } };
        await UntilAsync(async () =>
        {
            try
            {
                await client.IsActiveAsync(other);
            }
            catch (RpcException)
            {
            }

            return interest.Wanted.Count == 2;
        });
    }

    private static string Lines(string name) => $$"""
        rabbitmq_detailed_queue_messages_ready{vhost="/",queue="{{name}}"} 0
        rabbitmq_detailed_queue_messages_unacked{vhost="/",queue="{{name}}"} 0
        rabbitmq_detailed_queue_consumers{vhost="/",queue="{{name}}"} 0

        """;

    [Fact]
    public async Task Another_configuration_acts_on_the_next_evaluation_of_a_workload_that_runs_and_changes_neither_its_name_nor_its_target()
    {
        await using var broker = await StartBrokerAsync();
        await using var server = await StartServerAsync(broker);
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var request = Request();
        await UntilAsync(async () => (await client.GetMetricsAsync(request)).MetricValues[0].MetricValue_ == 1000);
        var spec = await client.GetMetricSpecAsync(request.ScaledObjectRef);
        var configuration = server.Services.GetRequiredService<CurrentConfiguration>();
        var workload = server.Services.GetRequiredService<WorkloadRegistry>().All.Single();

        configuration.Current = configuration.Current with
        {
            Options = configuration.Options with
            {
                Policies = ConfigurationFile.Parse("workloads: { genai/*: { saturationThreshold: 0.35 } }", out _)!.Policies,
            },
        };

        await UntilAsync(async () => (await client.GetMetricsAsync(request)).MetricValues[0].MetricValue_ == 2000);
        (await client.GetMetricSpecAsync(request.ScaledObjectRef)).Should().Be(spec, "K14, K16");
        server.Services.GetRequiredService<WorkloadRegistry>().All.Should().Equal(workload);
    }

    private static GetMetricsRequest Request() => new()
    {
        MetricName = "gpu-demand",
        ScaledObjectRef = new ScaledObjectRef { Name = "workers", Namespace = "genai", ScalerMetadata = { ["queue"] = "images" } },
    };

    private static async Task<WebApplication> StartServerAsync(WebApplication broker, string vhosts = "", string more = "")
    {
        var yaml = $$"""
            listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }
            rabbitmq: { main: { metrics: { urls: ["{{broker.Urls.First()}}"] }, {{more}}interval: 200ms, staleAfter: 5s, vhosts: [{{vhosts}}] } }
            evaluation: { interval: 100ms }
            """;
        var server = ScalerServer.Build(ConfigurationFile.Parse(yaml, out _)!, static logging => logging.ClearProviders());
        await server.StartAsync();
        return server;
    }

    private static Task<WebApplication> StartBrokerAsync(IEnumerable<string>? moreQueues = null)
    {
        var more = string.Concat((moreQueues ?? []).Select(Lines));
        return StartBrokerAsync(() => more);
    }

    private static async Task<WebApplication> StartBrokerAsync(Func<string> more)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var broker = builder.Build();
        broker.MapGet("/metrics/detailed", () => Results.Text(
            """
            # TYPE rabbitmq_build_info untyped
            rabbitmq_build_info{rabbitmq_version="3.10.8"} 1
            # TYPE rabbitmq_identity_info untyped
            rabbitmq_identity_info{rabbitmq_node="rabbit@one",rabbitmq_cluster="one"} 1
            # TYPE rabbitmq_detailed_queue_messages_ready gauge
            rabbitmq_detailed_queue_messages_ready{vhost="/",queue="images"} 0
            # TYPE rabbitmq_detailed_queue_messages_unacked gauge
            rabbitmq_detailed_queue_messages_unacked{vhost="/",queue="images"} 7
            # TYPE rabbitmq_detailed_queue_consumers gauge
            rabbitmq_detailed_queue_consumers{vhost="/",queue="images"} 10

            """ + more(),
            "text/plain; version=0.0.4"));
        await broker.StartAsync();
        return broker;
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30), TimeProvider.System);
        while (true)
        {
            try
            {
                if (await condition())
                {
                    return;
                }
            }
            catch (RpcException) when (!limit.IsCancellationRequested)
            {
            }

            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, limit.Token);
        }
    }
}
