using System.Net;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>What came back over HTTP, before anybody made a gRPC result of it.</summary>
internal sealed record RawReply(
    HttpStatusCode HttpStatus,
    ILookup<string, string> Headers,
    ILookup<string, string> Trailers,
    byte[] Body)
{
    /// <summary>The status, wherever it is; exactly one must be there.</summary>
    public int GrpcStatus => int.Parse(Headers["grpc-status"].Concat(Trailers["grpc-status"]).Single());

    public string GrpcMessage =>
        Wire.StatusEncoding.Decode(Headers["grpc-message"].Concat(Trailers["grpc-message"]).SingleOrDefault() ?? "");

    /// <summary>Whether the status came with the headers, so that the whole answer was one frame.</summary>
    public bool IsTrailersOnly => Headers.Contains("grpc-status") && Trailers.Count == 0 && Body.Length == 0;
}

internal static class HeaderLookup
{
    public static ILookup<string, string> ToLookup(this IEnumerable<KeyValuePair<string, string>> headers) =>
        headers.ToLookup(header => header.Key, header => header.Value, StringComparer.OrdinalIgnoreCase);
}
