using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>The numbers of the signals that tests send, on Linux.</summary>
public enum ProcessSignal
{
    Kill = 9,
    Terminate = 15,
    Continue = 18,
    Stop = 19,
}

/// <summary>
/// A server that a test started, with every process it started in turn. All of them carry a marker in their
/// environment, so that those which left their parent or their process group are found and ended too; nothing is ever
/// ended by name.
/// </summary>
/// <remarks>
/// A watcher beside the server holds the other end of a pipe. When the test host goes away, however that happens, the
/// pipe closes, and the watcher ends the server and removes its folder. (PR_SET_PDEATHSIG would not do: it fires when
/// the thread that forked ends, and that is a thread of the pool.)
/// </remarks>
public sealed class ChildProcess : IAsyncDisposable
{
    private const string Marker = "GPU_SCALER_TEST_CHILD";
    private const int LinesKept = 20_000;

    // exec keeps the process id, so the id that the test host knows is the server's own.
    private const string Launcher = """
        watcher=$1 folder=$2
        shift 2
        exec 3<&0
        sh -c "$watcher" watcher "$folder" <&3 3<&- >/dev/null 2>&1 &
        exec "$@" </dev/null 3<&-
        """;

    // Ctrl-C in a terminal reaches the whole process group, and the watcher has to outlive it. Twice, because a process
    // may have forked between being listed and being ended.
    private const string Watcher = """
        trap '' HUP INT TERM
        read -r _ && exit 0
        for pass in 1 2; do
            for found in $(grep -lsz "^GPU_SCALER_TEST_CHILD=$GPU_SCALER_TEST_CHILD\$" /proc/[0-9]*/environ); do
                pid=${found#/proc/}
                pid=${pid%/environ}
                [ "$pid" = "$$" ] || kill -KILL "$pid"
            done
        done
        [ -z "$1" ] || rm -rf "$1"
        """;

    private readonly Process _process;
    private readonly byte[] _marker;
    private readonly string _name;
    private readonly List<string> _output = [];
    private readonly List<string> _error = [];

    private ChildProcess(Process process, string name, string marker)
    {
        _process = process;
        _name = name;
        _marker = Encoding.ASCII.GetBytes($"{Marker}={marker}");
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    public IReadOnlyList<string> StandardOutput => Snapshot(_output);

    public IReadOnlyList<string> StandardError => Snapshot(_error);

    /// <summary>Resident memory of the server's own process.</summary>
    public long ResidentBytes => ReadResidentBytes(Id);

    /// <summary>
    /// Starts a program with the environment of the test host, in which <paramref name="environment"/> sets variables
    /// or, where null, removes them. <paramref name="folder"/> is removed if the test host dies; disposing leaves it
    /// alone. <paramref name="onOutputLine"/> is called on a thread of the pool.
    /// </summary>
    public static ChildProcess Start(
        string program,
        IEnumerable<string> arguments,
        IReadOnlyDictionary<string, string?>? environment = null,
        string? folder = null,
        Action<string>? onOutputLine = null)
    {
        var marker = Guid.NewGuid().ToString("N");
        var start = new ProcessStartInfo("/bin/sh")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = folder ?? Path.GetTempPath(),
        };
        foreach (var argument in (string[])["-c", Launcher, "launcher", Watcher, folder ?? "", program, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        foreach (var (name, value) in environment ?? new Dictionary<string, string?>())
        {
            start.Environment[name] = value;
        }

        start.Environment[Marker] = marker;
        var child = new ChildProcess(new Process { StartInfo = start }, Path.GetFileName(program), marker);
        child._process.OutputDataReceived += (_, line) => child.Keep(child._output, line.Data, onOutputLine);
        child._process.ErrorDataReceived += (_, line) => child.Keep(child._error, line.Data, listener: null);
        child._process.Start();
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Signals a process that the caller started.</summary>
    public static void SendSignal(int processId, ProcessSignal signal) => _ = Kill(processId, (int)signal);

    public static long ReadResidentBytes(int processId)
    {
        var line = File.ReadLines($"/proc/{processId}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan()["VmRSS:".Length..^"kB".Length].Trim(), CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>Signals the server's own process; does nothing if it has exited.</summary>
    public void Signal(ProcessSignal signal)
    {
        if (!HasExited)
        {
            SendSignal(Id, signal);
        }
    }

    /// <summary>Waits for the server's own process to exit and returns its exit code.</summary>
    public async Task<int> WaitForExitAsync(TimeSpan limit)
    {
        // Not Process.WaitForExitAsync: that also waits for the end of the output, which orphans may hold open.
        await Eventually.IsTrueAsync(() => HasExited, $"{_name} ({Id}) to exit", limit);
        return ExitCode;
    }

    /// <summary>Waits until everything that a server which has exited wrote is in its outputs.</summary>
    public async Task DrainAsync()
    {
        // The watcher and orphans are all that could still hold the pipes.
        await KillTreeAsync();
        await _process.WaitForExitAsync();
    }

    /// <summary>Ends the server and every process it started, at once.</summary>
    public async Task KillTreeAsync()
    {
        await Eventually.IsTrueAsync(
            () =>
            {
                var marked = FindMarked();
                foreach (var id in marked)
                {
                    SendSignal(id, ProcessSignal.Kill);
                }

                return marked.Count == 0;
            },
            $"every process of {_name} ({Id}) to end");
        await WaitForExitAsync(TimeSpan.FromSeconds(10));
    }

    /// <summary>The living processes that belong to this server, the watcher included.</summary>
    public IReadOnlyList<int> FindMarked()
    {
        var found = new List<int>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out var id))
            {
                continue;
            }

            try
            {
                if (File.ReadAllBytes(Path.Combine(folder, "environ")).AsSpan().IndexOf(_marker) >= 0)
                {
                    found.Add(id);
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Gone meanwhile, or not ours to look into.
            }
        }

        return found;
    }

    /// <summary>What the death of the test host looks like from here; only the test of the watcher needs it.</summary>
    public void CloseLifeline() => _process.StandardInput.Close();

    /// <summary>The last lines of both outputs, for the message of an exception.</summary>
    public string Tail(int lines = 30) =>
        $"{_name} {(HasExited ? $"exited with {ExitCode}" : "is running")}. Its last lines:{Environment.NewLine}"
        + string.Join(Environment.NewLine, StandardOutput.TakeLast(lines).Concat(StandardError.TakeLast(lines)));

    public async ValueTask DisposeAsync()
    {
        await KillTreeAsync();
        _process.Dispose();
    }

    private static List<string> Snapshot(List<string> lines)
    {
        lock (lines)
        {
            return [.. lines];
        }
    }

    private void Keep(List<string> lines, string? line, Action<string>? listener)
    {
        if (line is null)
        {
            return;
        }

        lock (lines)
        {
            if (lines.Count == LinesKept)
            {
                lines.RemoveRange(0, LinesKept / 2);
            }

            lines.Add(line);
        }

        listener?.Invoke(line);
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int processId, int signal);
}
