using System.Buffers;
using System.Net.Http.Headers;
using System.Text;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>What requests carry besides the query: credentials read from their files each time, and configured headers (T22).</summary>
internal static class PrometheusHeaders
{
    // Far above any token, and far below what a server's header limit would take.
    private const int LargestSecretBytes = 16 * 1024;

    private static readonly SearchValues<char> NameCharacters =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    // These are the request's own: set by hand they would contradict it.
    private static readonly HashSet<string> OwnNames = new(StringComparer.OrdinalIgnoreCase)
    {
        "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade",
    };

    public static bool IsUsableName(string name) =>
        name.Length is > 0 and <= 128 && !name.AsSpan().ContainsAnyExcept(NameCharacters) && !OwnNames.Contains(name);

    public static bool IsUsableValue(string value) =>
        value.Length <= LargestSecretBytes && !value.AsSpan().ContainsAnyExceptInRange(' ', '~');

    /// <summary>The credentials as they are in the files now.</summary>
    public static async Task<(SourceReason Reason, AuthenticationHeaderValue? Header)> ReadAuthorizationAsync(
        PrometheusConnectionOptions options, CancellationToken cancellationToken)
    {
        if (options.BearerTokenFile is { } tokenFile)
        {
            var token = await ReadSecretAsync(tokenFile, cancellationToken).ConfigureAwait(false);

            // A token with anything else in it would not be a header, or more than one.
            return token is not { Length: > 0 } || token.AsSpan().ContainsAnyExceptInRange('!', '~')
                ? (SourceReason.CredentialsUnreadable, null)
                : (SourceReason.None, new AuthenticationHeaderValue("Bearer", token));
        }

        if (options.Basic is not { } basic)
        {
            return (SourceReason.None, null);
        }

        var password = basic.PasswordFile is null ? "" : await ReadSecretAsync(basic.PasswordFile, cancellationToken).ConfigureAwait(false);
        return password is null
            ? (SourceReason.CredentialsUnreadable, null)
            : (SourceReason.None, new AuthenticationHeaderValue(
                "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{basic.Username}:{password}"))));
    }

    /// <summary>A file's text without the line end; null if it cannot be read or is too long to be a secret.</summary>
    private static async Task<string?> ReadSecretAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            var bytes = new byte[LargestSecretBytes + 1];
            var length = await file.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
            return length > LargestSecretBytes ? null : Encoding.UTF8.GetString(bytes, 0, length).TrimEnd('\r', '\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
