using System.Globalization;
using System.Net;
using GpuExternalScaler.Configuration;
using Grpc.Core;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace GpuExternalScaler.Rpc;

/// <summary>
/// Bounds what one address can hold open, so that it can neither fill the memory nor shut the others out. An open stream
/// takes some 12 KB; honest callers hold two for each external-push trigger, on a connection or a few.
/// </summary>
internal sealed class CallerLimits(ScalerOptions options)
{
    /// <summary>
    /// KEDA keeps a connection for each spelling of our address and TLS setting, so a handful is honest.
    /// </summary>
    public const int ConnectionsPerCaller = 16;

    private const int MostConnections = 512;

    // K1, and polls beside the streams.
    private const int LeastCalls = 10_000;
    private const int MoreCalls = 1_000;

    private readonly Lock _gate = new();
    private readonly Dictionary<IPAddress, Caller> _callers = [];
    private int _connections;
    private int _calls;

    /// <summary>Most calls of one caller; also what one connection of it may hold (K1).</summary>
    public int CallsPerCaller { get; } = Math.Max(LeastCalls, (2 * options.MaximumWorkloads) + MoreCalls);

    /// <summary>Serves a connection, or ends it at once when its caller, or everybody, has too many.</summary>
    public async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        var address = (connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None;
        if (Enter(address) is not { } caller)
        {
            connection.Abort(new ConnectionAbortedException("Too many connections."));
            return;
        }

        connection.Features.Set(caller);
        try
        {
            await next(connection);
        }
        finally
        {
            Leave(caller);
        }
    }

    /// <summary>Serves a call, or refuses it when its caller, or everybody, has too many open.</summary>
    public Task ServeAsync(HttpContext context, RequestDelegate next)
    {
        var caller = context.Features.GetRequiredFeature<Caller>();
        var (own, all) = (Interlocked.Increment(ref caller.Calls), Interlocked.Increment(ref _calls));
        if (own > CallsPerCaller || all > 2 * CallsPerCaller)
        {
            End(caller);
            return RefuseAsync(context.Response);
        }

        var serving = next(context);
        if (serving.IsCompletedSuccessfully)
        {
            End(caller);
            return serving;
        }

        return ServedAsync(serving, caller);
    }

    // By hand: the transport has not seen the call yet, and what is refused should cost next to nothing.
    private static Task RefuseAsync(HttpResponse response)
    {
        response.ContentType = "application/grpc";
        response.Headers.GrpcStatus = ((int)StatusCode.ResourceExhausted).ToString(CultureInfo.InvariantCulture);
        response.Headers.GrpcMessage = "too many calls are open from this address";
        return Task.CompletedTask;
    }

    private async Task ServedAsync(Task serving, Caller caller)
    {
        try
        {
            await serving;
        }
        finally
        {
            End(caller);
        }
    }

    private void End(Caller caller)
    {
        Interlocked.Decrement(ref caller.Calls);
        Interlocked.Decrement(ref _calls);
    }

    private Caller? Enter(IPAddress address)
    {
        lock (_gate)
        {
            if (!_callers.TryGetValue(address, out var caller))
            {
                caller = new Caller(address);
            }

            if (caller.Connections >= ConnectionsPerCaller || _connections >= MostConnections)
            {
                return null;
            }

            _callers[address] = caller;
            caller.Connections++;
            _connections++;
            return caller;
        }
    }

    private void Leave(Caller caller)
    {
        lock (_gate)
        {
            _connections--;
            if (--caller.Connections == 0)
            {
                _callers.Remove(caller.Address);
            }
        }
    }

    /// <summary>An address with connections.</summary>
    internal sealed class Caller(IPAddress address)
    {
        /// <summary>Calls open now.</summary>
        public int Calls;

        public IPAddress Address { get; } = address;

        public int Connections { get; set; }
    }
}
