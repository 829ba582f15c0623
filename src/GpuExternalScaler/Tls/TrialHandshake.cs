using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;

namespace GpuExternalScaler.Tls;

/// <summary>
/// Tries a certificate with a client of our own, in memory. What the TLS library thinks too weak (an RSA key of 1,024
/// bits, a signature by SHA-1) it says at the first handshake and not before: then every client would be lost.
/// </summary>
internal static class TrialHandshake
{
    /// <summary>Whether a client that believes everything gets through.</summary>
    public static async Task<bool> SucceedsAsync(SslStreamCertificateContext certificate, CancellationToken cancellation)
    {
        var (toServer, toClient) = (new Pipe(), new Pipe());
        await using var server = new SslStream(new PipeEnd(toServer.Reader, toClient.Writer));
        await using var client = new SslStream(new PipeEnd(toClient.Reader, toServer.Writer));
        var serving = EndAsync(server.AuthenticateAsServerAsync(GrpcPortTls.OptionsFor(certificate, clientAuthorities: null), cancellation), toClient.Writer, toServer.Reader);
        var asking = EndAsync(
            client.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = "trial.invalid",
                    EnabledSslProtocols = GrpcPortTls.Protocols,
                    ApplicationProtocols = [SslApplicationProtocol.Http2],
                    AllowTlsResume = false,
#pragma warning disable CA5359, MA0039 // It asks whether the certificate can be served with, not whether it is to be trusted.
                    RemoteCertificateValidationCallback = static (_, _, _, _) => true,
#pragma warning restore CA5359, MA0039
                },
                cancellation),
            toServer.Writer,
            toClient.Reader);
        var succeeded = await Task.WhenAll(serving, asking);
        return Array.TrueForAll(succeeded, static succeeded => succeeded);
    }

    // An end that has failed hangs up, or the other would wait for it for ever.
    private static async Task<bool> EndAsync(Task handshake, PipeWriter writer, PipeReader reader)
    {
        try
        {
            await handshake;
            return true;
        }
        catch (Exception exception) when (exception is AuthenticationException or IOException or CryptographicException or NotSupportedException or ArgumentException)
        {
            await writer.CompleteAsync();
            await reader.CompleteAsync();
            return false;
        }
    }

    /// <summary>One end of a connection in memory.</summary>
    private sealed class PipeEnd(PipeReader reader, PipeWriter writer) : Stream
    {
        private readonly Stream _in = reader.AsStream();
        private readonly Stream _out = writer.AsStream();

        public override bool CanRead => true;

        public override bool CanWrite => true;

        public override bool CanSeek => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _in.ReadAsync(buffer, cancellationToken);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => _out.WriteAsync(buffer, cancellationToken);

        public override Task FlushAsync(CancellationToken cancellationToken) => _out.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => _in.Read(buffer, offset, count);

        public override void Write(byte[] buffer, int offset, int count) => _out.Write(buffer, offset, count);

        public override void Flush() => _out.Flush();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
