using GpuExternalScaler.Observability.Exposition;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.Tests.Observability;

public sealed class ExpositionNegotiationTests
{
    [Theory]
    [InlineData("", false)]
    [InlineData("*/*", false)]
    [InlineData("text/html,application/xhtml+xml,*/*;q=0.8", false)]
    [InlineData("nonsense;;;q=", false)]
    [InlineData("application/openmetrics-text", true)]
    [InlineData("Application/OpenMetrics-Text; version=1.0.0", true)]
    [InlineData("application/openmetrics-text; version=\"1.0.0\"", true)]
    [InlineData("application/openmetrics-text; version=0.0.1", false)]
    [InlineData("application/openmetrics-text; version=2.0.0", false)]
    [InlineData("application/openmetrics-text; version=1.0.0; q=0", false)]
    [InlineData("application/openmetrics-text; version=1.0.0; q=0.5, text/plain", false)]
    [InlineData("application/openmetrics-text; version=1.0.0; q=0.5, text/*; q=0.6, */*; q=0.1", false)]
    [InlineData("application/openmetrics-text; version=1.0.0; q=0.5, text/plain; version=1.0.0; q=0.6, text/plain; version=0.0.4; q=0.4", true)]
    // What Prometheus 2.42 and 3.5 send.
    [InlineData("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true)]
    [InlineData("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", true)]
    public void The_format_follows_the_Accept_header(string accept, bool openMetrics)
    {
        var request = new DefaultHttpContext().Request;
        request.Headers.Accept = accept;
        ExpositionNegotiation.Format(request.GetTypedHeaders().Accept)
            .Should().Be(openMetrics ? ExpositionFormat.OpenMetrics : ExpositionFormat.PrometheusText);
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("gzip", true)]
    [InlineData("br, GZip;q=0.5", true)]
    [InlineData("gzip;q=0", false)]
    [InlineData("gzip;q=0, *", false)]
    [InlineData("*", true)]
    [InlineData("*;q=0", false)]
    [InlineData("identity", false)]
    [InlineData("deflate, br", false)]
    public void Gzip_is_used_only_where_it_is_accepted(string acceptEncoding, bool gzip)
    {
        var request = new DefaultHttpContext().Request;
        request.Headers.AcceptEncoding = acceptEncoding;
        ExpositionNegotiation.AcceptsGzip(request.GetTypedHeaders().AcceptEncoding).Should().Be(gzip);
    }
}
