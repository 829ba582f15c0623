namespace GpuExternalScaler.Tls;

/// <summary>What is wrong with a file of TLS.</summary>
/// <param name="Key">The key that names the file, such as <c>listen.tls.keyFile</c>.</param>
/// <param name="Problem">What is wrong. Holds nothing of the file: it could be the key.</param>
internal sealed record TlsProblem(string Key, string Problem)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Key}: {Problem}";
}
