using System.IO.Compression;
using Microsoft.Extensions.Logging.Abstractions;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>
/// The <c>/metrics</c> page: the process, the instruments of the named meters, and per-workload series written straight
/// to the page, because the SDK holds 2,000 series per instrument and never forgets one.
/// </summary>
/// <remarks>
/// A scrape collects when it is asked for. Scrapes are rendered one at a time, each whole and in memory; slow readers
/// hold their page but nobody else. Beyond <see cref="MaxConcurrentScrapes"/> the answer is 503, which bounds the memory.
/// Per-workload series are not pushed by OTLP.
/// </remarks>
internal sealed class MetricsPage : IDisposable
{
    /// <summary>Scrapes answered at a time, those waiting for their turn and those still being read included.</summary>
    public const int MaxConcurrentScrapes = 16;

    private readonly Action<PrometheusTextWriter> _appendPerWorkload;
    private readonly InstrumentExporter _exporter;
    private readonly BaseExportingMetricReader _reader;
    private readonly MeterProvider _provider;
    private readonly ProcessSeries _process = new();
    private readonly SemaphoreSlim _admitted = new(MaxConcurrentScrapes);
    private readonly SemaphoreSlim _rendering = new(1);

    /// <summary>Starts listening to the meters; measurements made before are lost.</summary>
    /// <param name="meterNames">Meters shown, beside the runtime's own.</param>
    /// <param name="appendPerWorkload">Writes the per-workload families; called on each scrape, never concurrently.</param>
    /// <param name="logger">Told of instruments that cannot be shown.</param>
    /// <param name="environment">Where the <c>OTEL_*</c> settings are read; by default the environment variables.</param>
    public MetricsPage(
        IEnumerable<string> meterNames,
        Action<PrometheusTextWriter> appendPerWorkload,
        ILogger<MetricsPage>? logger = null,
        IConfiguration? environment = null)
    {
        environment ??= new ConfigurationBuilder().AddEnvironmentVariables().Build();
        _appendPerWorkload = appendPerWorkload;
        _exporter = new InstrumentExporter(logger ?? NullLogger<MetricsPage>.Instance);
        _reader = new BaseExportingMetricReader(_exporter);
        _provider = Sdk.CreateMeterProviderBuilder()
            .ConfigureServices(services => services.AddSingleton(environment))
            .ConfigureResource(static resource => resource
                .AddService("gpu-external-scaler", serviceVersion: ProcessSeries.Version)
                // After the service, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
                .AddEnvironmentVariableDetector())
            .AddMeter([.. meterNames, "System.Runtime"])
            .AddReader(_reader)
            .AddOtlpPush(environment)
            .Build();
    }

    /// <summary>Answers a scrape; the handler of <c>/metrics</c>.</summary>
    public async Task WriteAsync(HttpContext context)
    {
        if (!_admitted.Wait(0, CancellationToken.None))
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            context.Response.Headers.RetryAfter = "1";
            return;
        }

        try
        {
            var format = ExpositionNegotiation.Format(context.Request.GetTypedHeaders().Accept);
            using var page = await RenderAsync(format, context.RequestAborted);
            await SendAsync(context, page, format);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The scraper gave up: there is nobody to answer.
        }
        finally
        {
            _admitted.Release();
        }
    }

    /// <summary>Renders one page, after those already being rendered. The caller disposes it.</summary>
    internal async Task<PageBuffer> RenderAsync(ExpositionFormat format, CancellationToken cancellationToken)
    {
        await _rendering.WaitAsync(cancellationToken);
        var page = new PageBuffer();
        try
        {
            var writer = new PrometheusTextWriter(page, format);
            _process.WriteTo(writer);
            _exporter.WriteTo(writer);
            _appendPerWorkload(writer);
            writer.Complete();
            return page;
        }
        catch
        {
            page.Dispose();
            throw;
        }
        finally
        {
            _rendering.Release();
        }
    }

    /// <summary>Stops listening, and pushes a last time where OTLP is configured.</summary>
    public void Dispose()
    {
        _provider.Dispose();
        _reader.Dispose();
        _exporter.Dispose();
        _admitted.Dispose();
        _rendering.Dispose();
    }

    private static async Task SendAsync(HttpContext context, PageBuffer page, ExpositionFormat format)
    {
        var response = context.Response;
        response.ContentType = ExpositionNegotiation.ContentType(format);
        response.Headers.Vary = "Accept, Accept-Encoding";
        if (ExpositionNegotiation.AcceptsGzip(context.Request.GetTypedHeaders().AcceptEncoding))
        {
            response.Headers.ContentEncoding = "gzip";
            await using var gzip = new GZipStream(response.Body, CompressionLevel.Fastest, leaveOpen: true);
            await page.CopyToAsync(gzip, context.RequestAborted);
        }
        else
        {
            response.ContentLength = page.Length;
            await page.CopyToAsync(response.Body, context.RequestAborted);
        }
    }
}
