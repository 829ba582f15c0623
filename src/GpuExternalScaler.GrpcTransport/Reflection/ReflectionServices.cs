using Google.Protobuf;
using Grpc.Core;
using Microsoft.Extensions.Hosting;

namespace GpuExternalScaler.GrpcTransport.Reflection;

/// <summary>Reflection as current clients ask for it.</summary>
internal sealed class ReflectionV1Service(ReflectionAnswers answers, IHostApplicationLifetime lifetime)
    : V1.ServerReflection.ServerReflectionBase
{
    public override Task ServerReflectionInfo(
        IAsyncStreamReader<V1.ServerReflectionRequest> requestStream,
        IServerStreamWriter<V1.ServerReflectionResponse> responseStream,
        ServerCallContext context) =>
        ReflectionSession.RunAsync(requestStream, responseStream, answers.Answer, context, lifetime);
}

/// <summary>Reflection as older clients ask for it: the same bytes under another package.</summary>
internal sealed class ReflectionV1AlphaService(ReflectionAnswers answers, IHostApplicationLifetime lifetime)
    : V1Alpha.ServerReflection.ServerReflectionBase
{
    public override Task ServerReflectionInfo(
        IAsyncStreamReader<V1Alpha.ServerReflectionRequest> requestStream,
        IServerStreamWriter<V1Alpha.ServerReflectionResponse> responseStream,
        ServerCallContext context) =>
        ReflectionSession.RunAsync(requestStream, responseStream, Answer, context, lifetime);

    private V1Alpha.ServerReflectionResponse Answer(V1Alpha.ServerReflectionRequest request)
    {
        var answer = answers.Answer(V1.ServerReflectionRequest.Parser.ParseFrom(request.ToByteString()));
        return V1Alpha.ServerReflectionResponse.Parser.ParseFrom(answer.ToByteString());
    }
}

/// <summary>Question by question until the client has no more, or the server stops: then OK (K6).</summary>
internal static class ReflectionSession
{
    public static async Task RunAsync<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requests,
        IServerStreamWriter<TResponse> responses,
        Func<TRequest, TResponse> answer,
        ServerCallContext context,
        IHostApplicationLifetime lifetime)
    {
        var stopping = lifetime.ApplicationStopping;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        try
        {
            while (await requests.MoveNext(over.Token))
            {
                await responses.WriteAsync(answer(requests.Current), over.Token);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Ends with OK.
        }
    }
}
