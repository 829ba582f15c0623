using System.Diagnostics;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.RegularExpressions;
using GpuExternalScaler.IntegrationTests.GrpcGo;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>What openssl s_client said and was answered.</summary>
internal sealed partial record OpenSslAnswer(string Text)
{
    /// <summary>Whether the server spoke HTTP/2: a connection that is refused ends before its first frame, the settings.</summary>
    public bool IsServed => Settings().IsMatch(Text);

    /// <summary>Whether a session from before was taken up again.</summary>
    public bool IsResumed => Text.Contains("\nReused, ", StringComparison.Ordinal);

    /// <summary>The serial number of the server's certificate.</summary>
    public string? Serial
    {
        get
        {
            var pem = Certificate().Match(Text);
            using var certificate = pem.Success ? X509Certificate2.CreateFromPem(pem.Value) : null;
            return certificate?.SerialNumber;
        }
    }

    // Type, flags, stream 0, and the first setting's number.
    [GeneratedRegex(@"\x04\0\0\0\0\0\0[\x01-\x0a]", RegexOptions.None, 1000)]
    private static partial Regex Settings();

    [GeneratedRegex("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", RegexOptions.None, 1000)]
    private static partial Regex Certificate();
}

/// <summary>openssl s_client: shows what was negotiated, and does what no honest client does.</summary>
internal static class OpenSslClient
{
    // HTTP/2's preface, settings, and GOAWAY: whoever speaks it answers with its own settings and hangs up.
    private static readonly byte[] Hello = [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>Connects, says hello, and waits until the server hangs up.</summary>
    public static async Task<OpenSslAnswer> AskAsync(string address, GoTls? tls, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("openssl")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.Latin1,
            StandardErrorEncoding = Encoding.Latin1,
            UseShellExecute = false,
        };
        (string Name, string? Value)[] files = [("-CAfile", tls?.Ca), ("-cert", tls?.Cert), ("-key", tls?.Key)];
        foreach (var argument in (string[])
            ["s_client", "-connect", address, "-ign_eof", .. files.Where(static file => file.Value is not null).SelectMany(static file => new[] { file.Name, file.Value! }), .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var complaints = process.StandardError.ReadToEndAsync();
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(Hello);
            await process.StandardInput.DisposeAsync();
        }
        catch (IOException)
        {
            // Refused already.
        }

        using var limit = new CancellationTokenSource(Limit, TimeProvider.System);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException error)
        {
            process.Kill();
            throw new TimeoutException($"The server did not hang up: {await output}{await complaints}", error);
        }

        return new OpenSslAnswer(await output + await complaints);
    }
}
