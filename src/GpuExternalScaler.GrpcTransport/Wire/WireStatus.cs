using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary>The statuses this transport itself ends calls with. None quotes what the other side sent.</summary>
internal static class WireStatus
{
    public static RpcException Internal(string detail) => new(new Status(StatusCode.Internal, detail));

    public static RpcException TooLarge(long maxBytes) =>
        new(new Status(StatusCode.ResourceExhausted, $"The message is larger than the limit of {maxBytes} bytes."));

    public static RpcException CompressedWithoutEncoding() =>
        Internal("A message is marked as compressed, but no grpc-encoding is given.");

    public static RpcException Truncated() => Internal("The message is incomplete.");

    public static RpcException NoMessage() => Internal("A message is missing.");

    public static RpcException SecondMessage() => Internal("There is more than one message where one is expected.");

    /// <summary>
    /// INTERNAL, as grpc-go has it: the bytes were no message of this type, so sender and receiver disagree about the
    /// contract. INVALID_ARGUMENT would say that a well-formed request has a wrong value, and is left to handlers.
    /// </summary>
    public static RpcException Unparsable(Exception cause) =>
        new(new Status(StatusCode.Internal, "The message could not be parsed.", cause));

    public static RpcException Undecompressable(Exception? cause = null) =>
        new(new Status(StatusCode.Internal, "The message could not be decompressed.", cause));

    public static RpcException PeerReset(Exception cause) =>
        new(new Status(StatusCode.Cancelled, "The call was cancelled by the other side.", cause));
}
