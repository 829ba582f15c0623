using Microsoft.Net.Http.Headers;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>The two texts a Prometheus server reads.</summary>
internal enum ExpositionFormat
{
    /// <summary>Prometheus text format 0.0.4: what anything that asks for nothing in particular gets.</summary>
    PrometheusText,

    /// <summary>OpenMetrics 1.0.0, without exemplars and creation times.</summary>
    OpenMetrics,
}

/// <summary>Chooses the format and the encoding of an answer from the request's headers.</summary>
internal static class ExpositionNegotiation
{
    /// <summary>The <c>Content-Type</c> of <paramref name="format"/>.</summary>
    public static string ContentType(ExpositionFormat format) => format is ExpositionFormat.OpenMetrics
        ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
        : "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>
    /// OpenMetrics when the client names it and wants it at least as much as text; text otherwise. A client that accepts
    /// neither gets text too: a scraper that asks for the wrong thing is better served than refused.
    /// </summary>
    public static ExpositionFormat Format(IList<MediaTypeHeaderValue> accept)
    {
        var openMetrics = 0.0;
        var text = 0.0;
        var textRange = 0.0;
        var anything = 0.0;
        foreach (var media in accept)
        {
            var wanted = media.Quality ?? 1;
            if (media.MediaType.Equals("application/openmetrics-text", StringComparison.OrdinalIgnoreCase))
            {
                openMetrics = HasVersion(media, "1.0.0") ? Math.Max(openMetrics, wanted) : openMetrics;
            }
            else if (media.MediaType.Equals("text/plain", StringComparison.OrdinalIgnoreCase))
            {
                text = HasVersion(media, "0.0.4") ? Math.Max(text, wanted) : text;
            }
            else if (media.MediaType.Equals("text/*", StringComparison.Ordinal))
            {
                textRange = Math.Max(textRange, wanted);
            }
            else if (media.MediaType.Equals("*/*", StringComparison.Ordinal))
            {
                anything = Math.Max(anything, wanted);
            }
        }

        // The most specific range that matches says how much text is wanted.
        var textWanted = text > 0 ? text : textRange > 0 ? textRange : anything;
        return openMetrics > 0 && openMetrics >= textWanted ? ExpositionFormat.OpenMetrics : ExpositionFormat.PrometheusText;
    }

    /// <summary>Whether the client accepts gzip; <c>gzip;q=0</c> refuses it.</summary>
    public static bool AcceptsGzip(IList<StringWithQualityHeaderValue> acceptEncoding)
    {
        double? gzip = null;
        double? anything = null;
        foreach (var coding in acceptEncoding)
        {
            if (coding.Value.Equals("gzip", StringComparison.OrdinalIgnoreCase))
            {
                gzip = coding.Quality ?? 1;
            }
            else if (coding.Value.Equals("*", StringComparison.Ordinal))
            {
                anything = coding.Quality ?? 1;
            }
        }

        return (gzip ?? anything ?? 0) > 0;
    }

    private static bool HasVersion(MediaTypeHeaderValue media, string version)
    {
        foreach (var parameter in media.Parameters)
        {
            if (parameter.Name.Equals("version", StringComparison.OrdinalIgnoreCase))
            {
                return HeaderUtilities.RemoveQuotes(parameter.Value).Equals(version, StringComparison.Ordinal);
            }
        }

        return true;
    }
}
