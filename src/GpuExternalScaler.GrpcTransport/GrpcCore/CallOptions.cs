using System.Diagnostics.CodeAnalysis;

namespace Grpc.Core;

/// <summary>How one call is made.</summary>
/// <param name="headers">Metadata to send, if any.</param>
/// <param name="deadline">When to stop waiting, in UTC, if ever.</param>
/// <param name="cancellationToken">Cancels the call.</param>
[SuppressMessage("Performance", "CA1815", Justification = "The API this mirrors compares no options.")]
public readonly struct CallOptions(
    Metadata? headers = null,
    DateTime? deadline = null,
    CancellationToken cancellationToken = default)
{
    /// <summary>Metadata to send, if any.</summary>
    public Metadata? Headers { get; private init; } = headers;

    /// <summary>When to stop waiting, in UTC, if ever.</summary>
    public DateTime? Deadline { get; private init; } = deadline;

    /// <summary>Cancels the call.</summary>
    public CancellationToken CancellationToken { get; private init; } = cancellationToken;

    /// <summary>The same with other metadata.</summary>
    public CallOptions WithHeaders(Metadata headers) => this with { Headers = headers };

    /// <summary>The same with another deadline, in UTC.</summary>
    public CallOptions WithDeadline(DateTime deadline) => this with { Deadline = deadline };

    /// <summary>The same with another token.</summary>
    public CallOptions WithCancellationToken(CancellationToken cancellationToken) =>
        this with { CancellationToken = cancellationToken };
}
