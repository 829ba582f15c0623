using System.Diagnostics;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.GrpcGo;

/// <summary>A command of the Go client that lasts until its input is closed. It ends with the test host.</summary>
public sealed class GoSession : IAsyncDisposable
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly List<GoEvent> _events = [];
    private readonly List<string> _errors = [];

    internal GoSession(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => Keep(_events, line.Data, GoJson.Parse<GoEvent>);
        _process.ErrorDataReceived += (_, line) => Keep(_errors, line.Data, text => text);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int ProcessId => _process.Id;

    public bool HasEnded => _process.HasExited;

    /// <summary>What has been reported so far.</summary>
    public IReadOnlyList<GoEvent> Events
    {
        get
        {
            lock (_events)
            {
                return [.. _events];
            }
        }
    }

    /// <summary>The messages received so far.</summary>
    public IReadOnlyList<GoEvent> Messages => [.. Events.Where(e => e.Event == "message")];

    /// <summary>Waits for the first event of this name that is accepted, past ones included.</summary>
    public async Task<GoEvent> WaitForAsync(string name, Func<GoEvent, bool>? accept = null, TimeSpan? limit = null)
    {
        var found = await Eventually.SeesAsync(
            () => Task.FromResult(Events.FirstOrDefault(e => e.Event == name && (accept is null || accept(e)))),
            found => found is not null || (HasEnded && Failed),
            $"the event {name} of the Go client",
            limit,
            () => string.Join(Environment.NewLine, Events));
        return found ?? throw new InvalidOperationException(
            $"The grpc-go client exited with {_process.ExitCode}: {string.Join(Environment.NewLine, _errors)}");
    }

    public Task WaitForMessagesAsync(int count, TimeSpan? limit = null) =>
        Eventually.IsTrueAsync(() => Messages.Count >= count, $"{count} messages", limit);

    /// <summary>SIGSTOP: the connection stays open and nothing is read from the socket.</summary>
    public void Pause() => ChildProcess.SendSignal(ProcessId, ProcessSignal.Stop);

    public void Resume() => ChildProcess.SendSignal(ProcessId, ProcessSignal.Continue);

    /// <summary>SIGKILL: the kernel closes the connection, and no stream is cancelled first.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>Cancels the streams, as KEDA does when a trigger goes, and returns everything that was reported.</summary>
    public async Task<IReadOnlyList<GoEvent>> FinishAsync()
    {
        await _process.StandardInput.DisposeAsync();
        await WaitForEndAsync(EndLimit);
        return Events;
    }

    /// <summary>Waits until the command has ended by itself, because the server ended what it was watching.</summary>
    public async Task<IReadOnlyList<GoEvent>> WaitForEndAsync(TimeSpan? limit = null)
    {
        using var cancelled = new CancellationTokenSource(limit ?? EndLimit, TimeProvider.System);
        try
        {
            await _process.WaitForExitAsync(cancelled.Token);
        }
        catch (OperationCanceledException error)
        {
            throw new TimeoutException($"The grpc-go client did not end: {string.Join(Environment.NewLine, Events)}", error);
        }

        return Events;
    }

    public async ValueTask DisposeAsync()
    {
        if (!HasEnded)
        {
            await KillAsync();
        }

        _process.Dispose();
    }

    private bool Failed => _process.ExitCode != 0;

    private static void Keep<T>(List<T> list, string? line, Func<string, T> parse)
    {
        if (line is not null)
        {
            var item = parse(line);
            lock (list)
            {
                list.Add(item);
            }
        }
    }
}
