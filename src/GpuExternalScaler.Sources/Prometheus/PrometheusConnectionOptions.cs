namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// One named Prometheus, or anything that speaks its query API (Thanos, Mimir, VictoriaMetrics). Validation is the
/// configuration's business, for which <see cref="Problems"/> says what this program could not work with.
/// </summary>
public sealed record PrometheusConnectionOptions
{
    /// <summary>The connection's name in the configuration; appears in every sentence about it.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// Base URL, such as <c>http://prometheus:9090</c>, with the path prefix if there is one; user information and query
    /// in it are not used.
    /// </summary>
    public required Uri Url { get; init; }

    /// <summary>
    /// Time between two sweeps. Default 15 s, at least 1 s. Lower than the scrape interval reads the same samples again;
    /// higher delays every reaction by as much. A server that is down is asked once in this time.
    /// </summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// Age past which a sample is no longer believed (T20). Default 60 s. Too low: a slow scrape stops decisions; too
    /// high: decisions rest on the past.
    /// </summary>
    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Time allowed for a query, connection and retry included. Default 10 s. The server is told to give up a tenth earlier, so
    /// that a query that takes too long is known from a server that hangs.
    /// </summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time allowed for a query that came from outside this program. Default 5 s.</summary>
    public TimeSpan SuppliedQueryTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>File holding a bearer token, read again before each request (T22). Not together with <see cref="Basic"/>.</summary>
    public string? BearerTokenFile { get; init; }

    /// <summary>User and password file (T22).</summary>
    public PrometheusBasicCredentials? Basic { get; init; }

    /// <summary>Headers sent with each request, such as <c>X-Scope-OrgID</c> (T22). Their values count as secret.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>();

    /// <summary>PEM file with the only authorities trusted, read again when it changes; null trusts the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>The certificate to show where the server asks for one (T22).</summary>
    public ClientCertificateFiles? ClientCertificate { get; init; }

    /// <summary>
    /// Whether PromQL may come from trigger metadata. Default no: who may write a ScaledObject could then read, by what
    /// the fleet does, any series of this server.
    /// </summary>
    public bool AllowTriggerQueries { get; init; }

    /// <summary>Largest answer accepted, unpacked, in bytes. Default 64 MiB (about 200,000 series).</summary>
    public long MaxResponseBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Most series accepted in one answer. Default 50,000.</summary>
    public int MaxSeries { get; init; } = 50_000;

    /// <summary>Most series accepted in the answer to a query that came from outside this program. Default 100.</summary>
    public int MaxSuppliedSeries { get; init; } = 100;

    /// <summary>Most points accepted in one answer, all series together. Default 1,000,000 (24 MB of memory).</summary>
    public int MaxPoints { get; init; } = 1_000_000;

    /// <summary>What is wrong with these options, by key and without values; empty if nothing is.</summary>
    public IReadOnlyList<string> Problems()
    {
        var problems = new List<string>();
        if (!Url.IsAbsoluteUri || Url.Scheme is not ("http" or "https"))
        {
            problems.Add("url: must be an absolute URL of the scheme http or https");
        }

        Check(Interval < TimeSpan.FromSeconds(1), "interval: must be at least 1s");
        Check(StaleAfter <= TimeSpan.Zero, "staleAfter: must be positive");
        Check(Timeout <= TimeSpan.Zero || SuppliedQueryTimeout <= TimeSpan.Zero, "timeout: must be positive");
        Check(BearerTokenFile is not null && Basic is not null, "bearerTokenFile and basic exclude each other");
        Check(MaxResponseBytes is <= 0 or > EndpointClient.LargestBytes, "the largest answer must be between 1 byte and 512 MiB");
        Check(MaxSeries <= 0 || MaxSuppliedSeries <= 0 || MaxPoints <= 0, "limits of series and points must be positive");
        foreach (var (name, value) in Headers)
        {
            if (!PrometheusHeaders.IsUsableName(name))
            {
                problems.Add("headers: a name is not that of a header that may be set here");
            }
            else if (!PrometheusHeaders.IsUsableValue(value))
            {
                problems.Add($"headers.{name}: the value must be printable ASCII text");
            }
            else
            {
                Check(
                    name.Equals("Authorization", StringComparison.OrdinalIgnoreCase) && (BearerTokenFile ?? Basic as object) is not null,
                    "headers.Authorization excludes bearerTokenFile and basic");
            }
        }

        return problems;

        void Check(bool isWrong, string problem)
        {
            if (isWrong)
            {
                problems.Add(problem);
            }
        }
    }

    /// <summary>The name alone: headers and URLs may hold secrets.</summary>
    public override string ToString() => $"{nameof(PrometheusConnectionOptions)} {Name}";
}

/// <summary>Basic authentication.</summary>
public sealed record PrometheusBasicCredentials
{
    /// <summary>The user.</summary>
    public required string Username { get; init; }

    /// <summary>File holding the password, read again before each request; null is the empty password.</summary>
    public string? PasswordFile { get; init; }
}
