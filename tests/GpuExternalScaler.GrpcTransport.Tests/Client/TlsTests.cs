using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using GpuExternalScaler.GrpcTransport.Tests.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Hosting;

namespace GpuExternalScaler.GrpcTransport.Tests.Client;

/// <summary>K4, as far as it is the transport's: calls over TLS, with HTTP/2 agreed by ALPN.</summary>
public class TlsTests
{
    [Fact]
    public async Task K4_Calls_pass_over_TLS_to_a_certificate_that_is_trusted()
    {
        using var certificate = SelfSigned();
        await using var server = await EchoServer.StartAsync(listen: listener => listener.UseHttps(certificate));
        using var channel = GrpcChannel.ForAddress(server.Address, new GrpcChannelOptions
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                CertificateChainPolicy = new X509ChainPolicy
                {
                    TrustMode = X509ChainTrustMode.CustomRootTrust,
                    CustomTrustStore = { certificate },
                    RevocationMode = X509RevocationMode.NoCheck,
                },
            },
        });

        var reply = await new Echo.EchoClient(channel).UnaryAsync(new EchoRequest { Text = "sealed" });

        server.Address.Scheme.Should().Be("https");
        reply.Text.Should().Be("sealed");
    }

    [Fact]
    public async Task A_certificate_that_is_not_trusted_is_UNAVAILABLE()
    {
        using var certificate = SelfSigned();
        await using var server = await EchoServer.StartAsync(listen: listener => listener.UseHttps(certificate));

        var act = async () => await server.Client.UnaryAsync(new EchoRequest());

        (await act.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.Unavailable);
    }

    private static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
    }
}
