using System.Diagnostics.CodeAnalysis;

namespace Grpc.Core;

/// <summary>Thrown by a handler to end its call with a status, and by a client whose call ended with one.</summary>
[SuppressMessage("Design", "CA1032", Justification = "An RpcException without a status means nothing.")]
public class RpcException : Exception
{
    /// <summary>Carries a status.</summary>
    public RpcException(Status status)
        : this(status, [], status.ToString())
    {
    }

    /// <summary>Carries a status; <paramref name="message"/> is for this side only.</summary>
    public RpcException(Status status, string message)
        : this(status, [], message)
    {
    }

    /// <summary>Carries a status and trailers.</summary>
    public RpcException(Status status, Metadata trailers)
        : this(status, trailers, status.ToString())
    {
    }

    /// <summary>Carries a status and trailers; <paramref name="message"/> is for this side only.</summary>
    public RpcException(Status status, Metadata trailers, string message)
        : base(message, status.DebugException)
    {
        ArgumentNullException.ThrowIfNull(trailers);
        Status = status;
        Trailers = trailers;
    }

    /// <summary>The status the call ends, or ended, with.</summary>
    public Status Status { get; }

    /// <summary>The code of <see cref="Status"/>.</summary>
    public StatusCode StatusCode => Status.StatusCode;

    /// <summary>Trailing metadata beside the status; empty where there is none.</summary>
    public Metadata Trailers { get; }
}
