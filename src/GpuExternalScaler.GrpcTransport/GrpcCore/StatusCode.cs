namespace Grpc.Core;

/// <summary>How a call ended. Names and numbers are those of the gRPC specification.</summary>
public enum StatusCode
{
    /// <summary>Success.</summary>
    OK = 0,

    /// <summary>The call was cancelled, usually by the caller.</summary>
    Cancelled = 1,

    /// <summary>An error nothing more is known about. This transport never sends it for an exception of a handler.</summary>
    Unknown = 2,

    /// <summary>The request is wrong whatever the state of the server.</summary>
    InvalidArgument = 3,

    /// <summary>The deadline passed before the call was done.</summary>
    DeadlineExceeded = 4,

    /// <summary>What was asked for does not exist.</summary>
    NotFound = 5,

    /// <summary>What was to be created exists already.</summary>
    AlreadyExists = 6,

    /// <summary>The caller is known and may not do this.</summary>
    PermissionDenied = 7,

    /// <summary>A quota or a size limit is exceeded.</summary>
    ResourceExhausted = 8,

    /// <summary>The server is not in the state the call needs; trying again without a change is no use.</summary>
    FailedPrecondition = 9,

    /// <summary>A conflict, such as a lost race; the caller may start over.</summary>
    Aborted = 10,

    /// <summary>A position past the valid range.</summary>
    OutOfRange = 11,

    /// <summary>The server does not offer the method, or not the encoding asked for.</summary>
    Unimplemented = 12,

    /// <summary>The server, or the wire format, is broken.</summary>
    Internal = 13,

    /// <summary>The server cannot answer at present; the caller may try again.</summary>
    Unavailable = 14,

    /// <summary>Data is lost for good.</summary>
    DataLoss = 15,

    /// <summary>The caller is not known.</summary>
    Unauthenticated = 16,
}
