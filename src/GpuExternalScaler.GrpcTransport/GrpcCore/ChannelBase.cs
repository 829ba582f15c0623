namespace Grpc.Core;

/// <summary>A way to reach a server.</summary>
/// <param name="target">The server's address, for people to read.</param>
public abstract class ChannelBase(string target)
{
    /// <summary>The server's address, for people to read.</summary>
    public string Target { get; } = target;

    /// <summary>What generated clients call.</summary>
    public abstract CallInvoker CreateCallInvoker();

    /// <summary>Ends the channel.</summary>
    public Task ShutdownAsync() => ShutdownAsyncCore();

    /// <summary>Does what <see cref="ShutdownAsync"/> promises.</summary>
    protected virtual Task ShutdownAsyncCore() => Task.CompletedTask;
}
