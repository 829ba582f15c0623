using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>
/// A RabbitMQ that can be run: 3.10 from the machine's own package, or 4.x from a newer suite that tests/run unpacked
/// into a folder.
/// </summary>
/// <param name="Root">The root of the file system it was made for; "/" for the machine's own.</param>
/// <param name="Home">Its home, seen from that root.</param>
public sealed record RabbitMqInstallation(string Root, string Home)
{
    private const string RootVariable = "GPU_SCALER_TEST_RABBITMQ4";
    private const string Servers = "usr/lib/rabbitmq/lib";

    // What is mounted is seen by this process and its children alone and is gone with them. The temporary folder keeps
    // its path, so that a configuration reads the same on both sides; and exec keeps the process id, so that the id the
    // test host knows is the node's and signals reach it.
    private const string Enter = """
        set -e
        root=$1 folder=$2
        shift 2
        mkdir -p "$root$folder"
        mount --bind "$folder" "$root$folder"
        mount --rbind /proc "$root/proc"
        mount --rbind /dev "$root/dev"
        cd "$root"
        exec chroot "$root" "$@"
        """;

    private static readonly Lazy<RabbitMqInstallation> PackagedServer = new(() => Find("/"));
    private static readonly Lazy<RabbitMqInstallation> UnpackedServer = new(() => Find(
        Environment.GetEnvironmentVariable(RootVariable) is { Length: > 0 } path ? path : FindUnpackedLast()));

    /// <summary>RabbitMQ 3.10.</summary>
    public static RabbitMqInstallation Packaged => PackagedServer.Value;

    /// <summary>RabbitMQ 4.x. <c>tests/run</c> says where it is; a test run by hand finds the one unpacked last.</summary>
    public static RabbitMqInstallation Unpacked => UnpackedServer.Value;

    private bool IsOfThisMachine => Root == "/";

    /// <summary>The home as a folder that can be read from here.</summary>
    public string HomeFromHere => Path.Join(Root, Home);

    /// <summary>Starts a program of this installation; <see cref="ChildProcess.Start"/> says what the arguments are.</summary>
    public ChildProcess Start(
        string program,
        IEnumerable<string> arguments,
        IReadOnlyDictionary<string, string?> environment,
        string? folder = null,
        Action<string>? onOutputLine = null)
    {
        if (IsOfThisMachine)
        {
            return ChildProcess.Start(program, arguments, environment, folder, onOutputLine);
        }

        if (Environment.UserName != "root")
        {
            throw new InvalidOperationException(
                "RabbitMQ 4.x runs in a root of its own, and entering it takes the root user. tests/run --rabbitmq4 off leaves its tests out.");
        }

        return ChildProcess.Start(
            "/usr/bin/unshare",
            [
                "--mount", "/bin/sh", "-c", Enter, "enter",
                Root, Path.TrimEndingDirectorySeparator(Path.GetTempPath()), program, .. arguments,
            ],
            environment,
            folder,
            onOutputLine);
    }

    private static RabbitMqInstallation Find(string root)
    {
        var servers = Path.Combine(root, Servers);
        var home = Directory.Exists(servers)
            ? Directory.GetDirectories(servers, "rabbitmq_server-*").Order(StringComparer.Ordinal).LastOrDefault()
            : null;
        Prerequisite.File(Path.Combine(home ?? servers, "sbin", "rabbitmq-server"), "RabbitMQ");
        return new RabbitMqInstallation(root, $"/{Servers}/{Path.GetFileName(home)}");
    }

    private static string FindUnpackedLast()
    {
        var artifacts = Path.Combine(Repository.Root, "artifacts");
        var unpacked = Directory.Exists(artifacts)
            ? new DirectoryInfo(artifacts).GetDirectories("rabbitmq4-*").Where(static folder => !folder.Name.EndsWith(".partial", StringComparison.Ordinal))
            : [];
        return unpacked.MaxBy(static folder => folder.CreationTimeUtc)?.FullName ?? Path.Combine(artifacts, "rabbitmq4-SUITE");
    }
}
