using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>
/// Told of each call, so that the program can count and time them. Taken from the services if one is registered.
/// Called on the path of every call: it must be quick, safe for many threads, and must not throw.
/// </summary>
public interface IGrpcCallObserver
{
    /// <summary>
    /// What stands for every method the server does not have. Their real names are the caller's choice, and would let
    /// it make as many series as it likes.
    /// </summary>
    const string UnknownMethod = "unknown";

    /// <summary>A call has begun.</summary>
    /// <param name="method">The path, <c>/package.Service/Method</c>, or <see cref="UnknownMethod"/>.</param>
    /// <param name="kind">The kind of method; unary for an unknown one.</param>
    void CallStarted(string method, MethodType kind);

    /// <summary>A call has ended, and its handler with it.</summary>
    /// <param name="method">As given to <see cref="CallStarted"/>.</param>
    /// <param name="kind">As given to <see cref="CallStarted"/>.</param>
    /// <param name="statusCode">
    /// The status sent. A handler that was interrupted because its caller had gone counts as CANCELLED; one that
    /// finished regardless counts as what it would have answered.
    /// </param>
    /// <param name="elapsed">Since <see cref="CallStarted"/>.</param>
    void CallFinished(string method, MethodType kind, StatusCode statusCode, TimeSpan elapsed);
}
