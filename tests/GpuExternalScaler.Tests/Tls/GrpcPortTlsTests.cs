using GpuExternalScaler.Configuration;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Tls;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Tls;

/// <summary>Following the files, look by look; tests against a server are in the integration tests.</summary>
public sealed class GrpcPortTlsTests : IDisposable
{
    private readonly TestAuthority _authority = TestAuthority.Create("authority");
    private readonly string _folder = Directory.CreateTempSubdirectory("gpu-scaler-tls-").FullName;
    private readonly ScalerMetrics _metrics = new();
    private readonly Lines _log = new();
    private readonly WallClock _clock = new();
    private readonly TestCertificate _first;

    public GrpcPortTlsTests()
    {
        _first = _authority.Issue("first");
        Write(_first.Pem, _first.Key);
    }

    public void Dispose()
    {
        _metrics.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_new_pair_is_taken_over_once_it_has_settled()
    {
        var tls = await StartAsync();
        await LookAsync(tls, 3);
        _log.Should().BeEmpty();

        var second = _authority.Issue("second", toDay: 60);
        Write(second.Pem, second.Key);
        await LookAsync(tls, 1);
        Serial(tls).Should().Be(_first.Serial, "it may yet be written");
        await LookAsync(tls, 3);

        Serial(tls).Should().Be(second.Serial);
        _log.Should().ContainSingle().Which.Should().StartWith(
            $"Information: TLS on the gRPC port: listen.tls.certFile, listen.tls.keyFile changed and holds for new connections; the certificate expires {second.Expires.UtcDateTime:u}");
    }

    [Fact]
    public async Task What_is_broken_is_told_once_and_not_taken_over()
    {
        var tls = await StartAsync();
        var other = _authority.Issue("other");

        await WriteAndLookAsync(tls, _first.Pem, other.Key);
        await WriteAndLookAsync(tls, "garbage", other.Key);
        await WriteAndLookAsync(tls, "other garbage", other.Key);
        await WriteAndLookAsync(tls, _first.Pem, other.Key);

        Serial(tls).Should().Be(_first.Serial);
        _log.Should().HaveCount(2);
        _log[0].Should().StartWith("Error: ").And.EndWith("listen.tls.keyFile: does not belong to the certificate, the first one in certFile");
        _log[1].Should().StartWith("Error: ").And.Contain("listen.tls.certFile: holds no certificate in PEM").And.NotContain("garbage");

        // As it was.
        await WriteAndLookAsync(tls, _first.Pem, _first.Key);
        _log.Should().HaveCount(3);
        _log[2].Should().StartWith("Information: ").And.EndWith("the files hold what is in force again");

        // And told anew.
        await WriteAndLookAsync(tls, "garbage", other.Key);
        _log.Should().HaveCount(4);
    }

    [Fact]
    public async Task The_key_first_and_the_certificate_later_end_with_the_new_pair()
    {
        var tls = await StartAsync();
        var second = _authority.Issue("second");

        await WriteAndLookAsync(tls, _first.Pem, second.Key);
        Serial(tls).Should().Be(_first.Serial);
        await WriteAndLookAsync(tls, second.Pem, second.Key);

        Serial(tls).Should().Be(second.Serial);
    }

    [Fact]
    public async Task A_certificate_that_expires_meanwhile_is_told_once()
    {
        var tls = await StartAsync();

        _clock.Now = _first.Expires.AddSeconds(1);
        await LookAsync(tls, 3);

        _log.Should().ContainSingle().Which.Should().StartWith("Warning: ").And.Contain("listen.tls.certFile: expired on ");
    }

    [Fact]
    public async Task A_file_that_goes_away_changes_nothing()
    {
        var tls = await StartAsync();

        File.Delete(Path.Combine(_folder, "tls.key"));
        await LookAsync(tls, 3);

        Serial(tls).Should().Be(_first.Serial);
        _log.Should().ContainSingle().Which.Should().EndWith("listen.tls.keyFile: cannot be read (no such file)");
    }

    private static string Serial(GrpcPortTls tls) => tls.Material.Certificate.TargetCertificate.SerialNumber;

    private static async Task LookAsync(GrpcPortTls tls, int times)
    {
        for (var i = 0; i < times; i++)
        {
            await tls.LookAsync(CancellationToken.None);
        }
    }

    private async Task WriteAndLookAsync(GrpcPortTls tls, string certificate, string key)
    {
        Write(certificate, key);
        await LookAsync(tls, 2);
    }

    private void Write(string certificate, string key)
    {
        File.WriteAllText(Path.Combine(_folder, "tls.crt"), certificate);
        File.WriteAllText(Path.Combine(_folder, "tls.key"), key);
    }

    private async Task<GrpcPortTls> StartAsync()
    {
        var options = new TlsOptions(Path.Combine(_folder, "tls.crt"), Path.Combine(_folder, "tls.key"), null);
        var (material, _) = await TlsMaterial.ReadAsync(options, CancellationToken.None);
        return new GrpcPortTls(options, material!, _clock, _metrics, _log);
    }

    private sealed class WallClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = System.GetUtcNow();

        public override DateTimeOffset GetUtcNow() => Now;
    }

    private sealed class Lines : List<string>, ILogger<GrpcPortTls>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Add($"{logLevel}: {formatter(state, exception)}");
    }
}
