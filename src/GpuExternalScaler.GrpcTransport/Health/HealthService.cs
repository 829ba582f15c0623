using GpuExternalScaler.GrpcTransport.Health.V1;
using Grpc.Core;
using Microsoft.Extensions.Hosting;

namespace GpuExternalScaler.GrpcTransport.Health;

/// <summary>Answers the gRPC health protocol from the board.</summary>
internal sealed class HealthService(HealthStatusBoard board, IHostApplicationLifetime lifetime)
    : V1.Health.HealthBase
{
    public override Task<HealthCheckResponse> Check(HealthCheckRequest request, ServerCallContext context) =>
        board.Get(request.Service) is { } state
            ? Task.FromResult(new HealthCheckResponse { Status = ToProtocol(state) })
            : throw new RpcException(new Status(StatusCode.NotFound, "The service is not known."));

    /// <summary>
    /// Sends the state and its changes until the caller goes or the server stops. Reads the board only when the last
    /// message has been taken, so a slow reader skips states that are past and nothing queues up for it.
    /// </summary>
    public override async Task Watch(
        HealthCheckRequest request,
        IServerStreamWriter<HealthCheckResponse> responseStream,
        ServerCallContext context)
    {
        var stopping = lifetime.ApplicationStopping;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        HealthCheckResponse.Types.ServingStatus? sent = null;
        try
        {
            while (true)
            {
                var (state, changed) = board.Observe(request.Service);
                var status = state is { } known
                    ? ToProtocol(known)
                    : HealthCheckResponse.Types.ServingStatus.ServiceUnknown;
                if (status != sent)
                {
                    await responseStream.WriteAsync(new HealthCheckResponse { Status = status }, over.Token);
                    sent = status;
                }

                await changed.WaitAsync(over.Token);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Ends with OK (K6).
        }
    }

    private static HealthCheckResponse.Types.ServingStatus ToProtocol(ServingState state) => state switch
    {
        ServingState.Serving => HealthCheckResponse.Types.ServingStatus.Serving,
        ServingState.NotServing => HealthCheckResponse.Types.ServingStatus.NotServing,
        _ => HealthCheckResponse.Types.ServingStatus.Unknown,
    };
}
