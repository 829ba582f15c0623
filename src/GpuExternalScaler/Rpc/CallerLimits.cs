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
    /// KEDA keeps a connection for each spelling of our address and TLS setting, so a handful is honest. With client
    /// certificates it keeps one for each of them, and a namespace may have its own: those are counted apart.
    /// </summary>
    public const int ConnectionsPerCaller = 16;

    /// <summary>Connections in all, and again of those whose client certificate was verified.</summary>
    public const int MostConnections = 512;

    // K1, and polls beside the streams.
    private const int LeastCalls = 10_000;
    private const int MoreCalls = 1_000;

    private readonly Lock _gate = new();
    private readonly Dictionary<IPAddress, Caller> _callers = [];
    private int _connections;
    private int _verified;
    private int _calls;
    private bool _isFullTold;

    /// <summary>Most calls of one caller; also what one connection of it may hold (K1).</summary>
    public int CallsPerCaller { get; } = Math.Max(LeastCalls, (2 * options.MaximumWorkloads) + MoreCalls);

    /// <summary>Hears of refused connections: the address, why, and whether that has not been told since there was room.</summary>
    public Action<IPAddress, string, bool>? OnRefused { get; set; }

    /// <summary>Serves a connection, or ends it at once when its caller, or everybody, has too many.</summary>
    public async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        var address = (connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None;
        if (Enter(address, out var why, out var isNew) is not { } caller)
        {
            OnRefused?.Invoke(address, why, isNew);
            connection.Abort(new ConnectionAbortedException("Too many connections."));
            return;
        }

        var place = new Place(this, caller);
        connection.Features.Set(caller);
        connection.Features.Set(place);
        try
        {
            await next(connection);
        }
        finally
        {
            Leave(place);
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

    private Caller? Enter(IPAddress address, out string why, out bool isNew)
    {
        (why, isNew) = ("", false);
        lock (_gate)
        {
            if (!_callers.TryGetValue(address, out var caller))
            {
                caller = new Caller(address);
            }

            if (_connections >= MostConnections)
            {
                (why, isNew, _isFullTold) = ("all", !_isFullTold, true);
                return null;
            }

            if (caller.Connections >= ConnectionsPerCaller)
            {
                (why, isNew, caller.IsTold) = ("address", !caller.IsTold, true);
                return null;
            }

            _callers[address] = caller;
            caller.Connections++;
            caller.Places++;
            _connections++;
            return caller;
        }
    }

    private void Verify(Place place)
    {
        lock (_gate)
        {
            if (_verified < MostConnections && !place.IsVerified)
            {
                place.IsVerified = true;
                _verified++;
                GiveBack(place.Caller);
            }
        }
    }

    private void Leave(Place place)
    {
        lock (_gate)
        {
            if (place.IsVerified)
            {
                _verified--;
            }
            else
            {
                GiveBack(place.Caller);
            }

            if (--place.Caller.Places == 0)
            {
                _callers.Remove(place.Caller.Address);
            }
        }
    }

    private void GiveBack(Caller caller)
    {
        _connections--;
        caller.Connections--;
        caller.IsTold = false;
        _isFullTold = false;
    }

    /// <summary>What one connection takes up.</summary>
    internal sealed class Place(CallerLimits limits, Caller caller)
    {
        public Caller Caller { get; } = caller;

        public bool IsVerified { get; set; }

        /// <summary>The client has shown a certificate that we trust: it is nobody who has to be kept out.</summary>
        public void Verify() => limits.Verify(this);
    }

    /// <summary>An address with connections.</summary>
    internal sealed class Caller(IPAddress address)
    {
        /// <summary>Calls open now.</summary>
        public int Calls;

        public IPAddress Address { get; } = address;

        /// <summary>Connections that count against it.</summary>
        public int Connections { get; set; }

        /// <summary>All its connections.</summary>
        public int Places { get; set; }

        /// <summary>Whether it was told that it has too many.</summary>
        public bool IsTold { get; set; }
    }
}
