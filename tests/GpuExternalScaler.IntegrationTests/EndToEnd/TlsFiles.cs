using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Tests.Reload;
using GpuExternalScaler.Tests.Tls;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>The files of TLS in a folder as Kubernetes mounts a Secret.</summary>
internal sealed class TlsFiles : IDisposable
{
    private readonly TemporaryFolder _folder = new("tls");
    private readonly MountedFolder _mount;

    public TlsFiles() => _mount = new MountedFolder(_folder.Path);

    public string CertFile => Path.Combine(_folder.Path, "tls.crt");

    public string KeyFile => Path.Combine(_folder.Path, "tls.key");

    public string ClientCaFile => Path.Combine(_folder.Path, "ca.crt");

    /// <summary>A configuration with these files, and looks ten times a second.</summary>
    public string Configuration(bool clients, string more = "") =>
        $$"""
        listen:
          grpc: {grpc}
          http: {http}
          tls:
            certFile: {{CertFile}}
            keyFile: {{KeyFile}}
        {{(clients ? $"    clientCaFile: {ClientCaFile}" : "")}}
        reload: { interval: 200ms }
        {{more}}
        """;

    /// <summary>Mounts new content in one step.</summary>
    public void Mount(string certificate, string key, string clientCa = "")
    {
        _mount.Swap(("tls.crt", certificate), ("tls.key", key), ("ca.crt", clientCa));
    }

    public void Mount(TestCertificate certificate, TestAuthority? clients = null) => Mount(certificate.Pem, certificate.Key, clients?.Pem ?? "");

    /// <summary>Writes one file in place, as nobody should.</summary>
    public void Overwrite(string file, string content) => File.WriteAllText(file, content);

    /// <summary>TLS as a client speaks it that trusts one authority and shows a certificate, or none.</summary>
    public GoTls Client(TestAuthority trusted, TestCertificate? certificate = null, string? serverName = null)
    {
        var name = Guid.NewGuid().ToString("N");
        var ca = _folder.Write($"{name}.ca", trusted.Pem);
        return certificate is null
            ? new GoTls(ca, ServerName: serverName)
            : new GoTls(ca, _folder.Write($"{name}.crt", certificate.Pem), _folder.Write($"{name}.key", certificate.Key), serverName);
    }

    public string PathOf(string name) => Path.Combine(_folder.Path, name);

    public void Dispose() => _folder.Dispose();

    // File.Move refuses to move a link to a folder.
}
