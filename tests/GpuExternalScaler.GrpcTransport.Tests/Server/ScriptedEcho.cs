using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>A service each test gives its own handlers; what is not given echoes.</summary>
internal sealed class ScriptedEcho : Echo.EchoBase
{
    public UnaryServerMethod<EchoRequest, EchoReply> OnUnary { get; init; } =
        (request, _) => Task.FromResult(new EchoReply { Text = request.Text });

    public ServerStreamingServerMethod<EchoRequest, EchoReply> OnServerStream { get; init; } =
        async (request, responses, _) =>
        {
            for (var i = 0; i < request.Repeat; i++)
            {
                await responses.WriteAsync(new EchoReply { Text = $"{request.Text} {i}" });
            }
        };

    public ClientStreamingServerMethod<EchoRequest, EchoReply> OnClientStream { get; init; } =
        async (requests, _) =>
        {
            var texts = new List<string>();
            await foreach (var request in requests.ReadAllAsync())
            {
                texts.Add(request.Text);
            }

            return new EchoReply { Text = string.Join(',', texts) };
        };

    public DuplexStreamingServerMethod<EchoRequest, EchoReply> OnDuplex { get; init; } =
        async (requests, responses, _) =>
        {
            await foreach (var request in requests.ReadAllAsync())
            {
                await responses.WriteAsync(new EchoReply { Text = request.Text });
            }
        };

    public override Task<EchoReply> Unary(EchoRequest request, ServerCallContext context) => OnUnary(request, context);

    public override Task ServerStream(
        EchoRequest request, IServerStreamWriter<EchoReply> responseStream, ServerCallContext context) =>
        OnServerStream(request, responseStream, context);

    public override Task<EchoReply> ClientStream(
        IAsyncStreamReader<EchoRequest> requestStream, ServerCallContext context) =>
        OnClientStream(requestStream, context);

    public override Task Duplex(
        IAsyncStreamReader<EchoRequest> requestStream,
        IServerStreamWriter<EchoReply> responseStream,
        ServerCallContext context) =>
        OnDuplex(requestStream, responseStream, context);
}
