using System.Diagnostics.CodeAnalysis;

namespace Grpc.Core;

/// <summary>A status code with a sentence for the caller.</summary>
/// <param name="statusCode">How the call ended.</param>
/// <param name="detail">A sentence for the caller, sent as <c>grpc-message</c>; KEDA shows it as a Kubernetes Event.</param>
/// <param name="debugException">What caused it on this side of the wire. Never sent.</param>
[SuppressMessage("Performance", "CA1815", Justification = "The API this mirrors compares no statuses.")]
public readonly struct Status(StatusCode statusCode, string detail, Exception? debugException)
{
    /// <summary>Success without a message.</summary>
    public static readonly Status DefaultSuccess = new(StatusCode.OK, "");

    /// <summary>Cancelled without a message.</summary>
    public static readonly Status DefaultCancelled = new(StatusCode.Cancelled, "");

    private readonly string? _detail = detail;

    /// <summary>A status without a cause.</summary>
    public Status(StatusCode statusCode, string detail)
        : this(statusCode, detail, null)
    {
    }

    /// <summary>How the call ended.</summary>
    public StatusCode StatusCode { get; } = statusCode;

    /// <summary>A sentence for the caller; empty where there is none.</summary>
    public string Detail => _detail ?? "";

    /// <summary>What caused it on this side of the wire. Never sent.</summary>
    public Exception? DebugException { get; } = debugException;

    /// <inheritdoc/>
    public override string ToString() => $"Status(StatusCode=\"{StatusCode}\", Detail=\"{Detail}\")";
}
