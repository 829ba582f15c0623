using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>Writes how a call ended.</summary>
internal static class StatusWriter
{
    /// <summary>
    /// Puts the status and the trailing metadata among the HTTP headers if nothing has been written ("trailers-only":
    /// one HEADERS frame that ends the stream), and among the HTTP trailers otherwise.
    /// </summary>
    public static void Write(
        HttpResponse response,
        bool anythingWritten,
        Status status,
        Metadata? trailers,
        Metadata? moreTrailers)
    {
        var target = anythingWritten
            ? response.HttpContext.Features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers
            : response.Headers;
        AddAll(target, trailers);
        AddAll(target, moreTrailers);
        target.GrpcStatus = StatusEncoding.CodeText(status.StatusCode);
        if (status.Detail.Length > 0)
        {
            target.GrpcMessage = StatusEncoding.Encode(status.Detail);
        }
    }

    /// <summary>The first entry that HTTP would refuse, or null.</summary>
    public static Metadata.Entry? FirstUnsendable(Metadata? metadata)
    {
        if (metadata is null)
        {
            return null;
        }

        foreach (var entry in metadata)
        {
            if (!MetadataEncoding.IsSendable(entry))
            {
                return entry;
            }
        }

        return null;
    }

    /// <summary>Adds metadata to HTTP headers or trailers; names that belong to the protocol are left out.</summary>
    public static void AddAll(IHeaderDictionary target, Metadata? metadata)
    {
        if (metadata is null)
        {
            return;
        }

        foreach (var entry in metadata)
        {
            if (!MetadataEncoding.IsReserved(entry.Key))
            {
                target.Append(entry.Key, MetadataEncoding.ValueText(entry));
            }
        }
    }
}
