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
/// A hung evaluation loop cannot be provoked from outside a process, so here the real server runs inside the test and
/// its loop is stopped, while sweeps and RPCs go on.
/// </summary>
public sealed class StalledEvaluationTests
{
    [Fact]
    public async Task A_loop_that_no_longer_turns_leads_to_Unavailable_and_not_to_a_frozen_answer()
    {
        await using var broker = await StartBrokerAsync();
        var yaml = $$"""
            listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }
            rabbitmq: { main: { metrics: { urls: ["{{broker.Urls.First()}}"] }, interval: 200ms, staleAfter: 5s } }
            evaluation: { interval: 100ms }
            """;
        var options = ConfigurationFile.Parse(yaml, out _)!;
        await using var server = ScalerServer.Build(options, static logging => logging.ClearProviders());
        await server.StartAsync();
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var request = new GetMetricsRequest
        {
            MetricName = "gpu-demand",
            ScaledObjectRef = new ScaledObjectRef { Name = "workers", Namespace = "genai", ScalerMetadata = { ["queue"] = "images" } },
        };
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
        server.Services.GetRequiredService<BrokerConnections>().All[0].Source.Current.Fault.Should().BeNull("the sweeps went on");
        (await client.GetMetricSpecAsync(request.ScaledObjectRef)).MetricSpecs.Should().ContainSingle("K12");
    }

    private static async Task<WebApplication> StartBrokerAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var broker = builder.Build();
        broker.MapGet("/metrics/detailed", static () => Results.Text(
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

            """,
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
