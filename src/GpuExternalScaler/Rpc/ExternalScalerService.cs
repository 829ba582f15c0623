using System.Globalization;
using System.Net;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Rpc.Protocol;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Sources;
using Grpc.Core;

namespace GpuExternalScaler.Rpc;

/// <summary>
/// KEDA's contract (rules K1 to K24). Translates between requests and published decisions; computes nothing, waits for
/// nothing (K2).
/// </summary>
internal sealed class ExternalScalerService(
    WorkloadRegistry registry,
    KnownTriggers triggers,
    CurrentConfiguration configuration,
    MetadataWarnings warnings,
    MonotonicClock clock,
    IHostApplicationLifetime lifetime) : ExternalScaler.ExternalScalerBase
{
    /// <summary>Response header with the number of the decision an answer projects.</summary>
    public const string DecisionHeader = "gpu-scaler-decision";

    // K22: KEDA may miss a true that comes before its HPA exists, and each true costs it status writes.
    private static readonly TimeSpan RepeatActive = TimeSpan.FromSeconds(10);
    private const int RepeatForColdStarts = 2;

    /// <inheritdoc/>
    public override Task<IsActiveResponse> IsActive(ScaledObjectRef request, ServerCallContext context)
    {
        var published = Decided(WorkloadOf(Read(request), CallerOf(context)));
        AddDecisionNumber(context, published);
        return Task.FromResult(new IsActiveResponse { Result = published.Decision.IsActive });
    }

    /// <inheritdoc/>
    public override Task<GetMetricsResponse> GetMetrics(GetMetricsRequest request, ServerCallContext context)
    {
        var scaledObject = request.ScaledObjectRef
            ?? throw Refuse(StatusCode.InvalidArgument, "scaledObjectRef is missing");
        var asked = Read(scaledObject);

        // K14, K18: one metric, matched whatever its case, answered under the name that was asked for.
        if (!string.Equals(request.MetricName, asked.Trigger.MetricName, StringComparison.OrdinalIgnoreCase))
        {
            throw Refuse(StatusCode.NotFound, $"no such metric; this trigger's metric is {asked.Trigger.MetricName}");
        }

        var published = Decided(WorkloadOf(asked, CallerOf(context)));
        AddDecisionNumber(context, published);
        var value = published.Decision.Value;
        return Task.FromResult(new GetMetricsResponse
        {
            MetricValues = { new MetricValue { MetricName = request.MetricName, MetricValue_ = value, MetricValueFloat = value } },
        });
    }

    /// <inheritdoc/>
    public override Task<GetMetricSpecResponse> GetMetricSpec(ScaledObjectRef request, ServerCallContext context)
    {
        // KEDA asks for the spec first: sampling can begin now. What stands in the way is GetMetrics' to report (K12).
        var isKnown = triggers.TryFind(request, out var trigger);
        trigger ??= Parse(request);
        if ((isKnown || MetadataFits(request)) && ProblemOf(trigger) is null)
        {
            registry.TryRegister(trigger, out _, CallerOf(context));
        }

        return Task.FromResult(SpecOf(trigger));
    }

    /// <inheritdoc/>
    public override async Task StreamIsActive(ScaledObjectRef request, IServerStreamWriter<IsActiveResponse> responseStream, ServerCallContext context)
    {
        var trigger = Read(request).Trigger;
        warnings.Report(trigger);

        // Silence is for what may yet be decided (K22). This is not, until somebody mends it: KEDA logs why and comes again.
        RequireConnections(trigger);
        var workload = registry.OpenStream(trigger, CallerOf(context)) ?? throw TooManyWorkloads();
        try
        {
            using var ending = Ending(context);
            await PushActivity(workload, responseStream, ending.Token);
        }
        catch (OperationCanceledException)
        {
            // The end came while a slow reader kept a write waiting.
        }
        finally
        {
            workload.StreamClosed(clock.Now);
        }
    }

    /// <inheritdoc/>
    public override async Task StreamMetricSpec(ScaledObjectRef request, IServerStreamWriter<GetMetricSpecResponse> responseStream, ServerCallContext context)
    {
        var trigger = Parse(request);
        using var ending = Ending(context);

        // The stream is a standing question; without a place it still gets its spec, which depends on the request alone.
        var workload = MetadataFits(request) && ProblemOf(trigger) is null ? registry.OpenStream(trigger, CallerOf(context)) : null;
        try
        {
            // K23: once. The target is constant (K16), so there never is another.
            await responseStream.WriteAsync(SpecOf(trigger), ending.Token);
            await UntilEnd(ending.Token);
        }
        catch (OperationCanceledException)
        {
            // The end came while a slow reader kept the write waiting.
        }
        finally
        {
            workload?.StreamClosed(clock.Now);
        }
    }

    /// <summary>
    /// K22: the state on open and at each change; true again while there are no consumers; silence while undecided.
    /// Awaiting each write means that a slow reader skips states instead of piling them up.
    /// </summary>
    private async Task PushActivity(Workload workload, IServerStreamWriter<IsActiveResponse> stream, CancellationToken ending)
    {
        bool? sent = null;
        DateTimeOffset sentAt = default;
        DateTimeOffset? wakingSince = null;
        while (!ending.IsCancellationRequested)
        {
            var changed = workload.ActivityChanged;
            if (workload.IsEvicted)
            {
                throw TooManyWorkloads();
            }

            if (workload.Problem is { } problem)
            {
                throw Refuse(problem);
            }

            var now = clock.Now;
            var wait = Timeout.InfiniteTimeSpan;
            if (workload.Published is { } published && WhyUnavailable(workload, published, now) is null)
            {
                var active = published.Decision.IsActive;
                wakingSince = published.WakesFromZero ? wakingSince ?? now : null;
                var repeat = wakingSince is { } since && now - since <= RepeatForColdStarts * workload.Policy.ColdStart;
                if (sent != active || (repeat && now - sentAt >= RepeatActive))
                {
                    await stream.WriteAsync(new IsActiveResponse { Result = active }, ending);
                    (sent, sentAt) = (active, now);
                }

                if (repeat)
                {
                    wait = RepeatActive - (now - sentAt);
                }
            }

            await Wait(changed, wait, ending);
        }
    }

    private async Task Wait(Task changed, TimeSpan atMost, CancellationToken ending)
    {
        try
        {
            await changed.WaitAsync(atMost, clock.TimeProvider, ending);
        }
        catch (TimeoutException)
        {
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static async Task UntilEnd(CancellationToken ending)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = ending.Register(static state => ((TaskCompletionSource)state!).TrySetResult(), ended);
        await ended.Task;
    }

    // K6: on shutdown streams end by returning, which is status OK; K24: on cancellation they end too.
    private CancellationTokenSource Ending(ServerCallContext context) =>
        CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, lifetime.ApplicationStopping);

    private static TriggerMetadata Parse(ScaledObjectRef request) =>
        TriggerMetadata.Parse(request.Namespace, request.Name, request.ScalerMetadata, out var errors)
            ?? throw Refuse(StatusCode.InvalidArgument, "trigger metadata: " + string.Join("; ", errors));

    /// <summary>What a request asks about; its metadata must fit.</summary>
    private Asked Read(ScaledObjectRef request)
    {
        if (triggers.TryFind(request, out var known))
        {
            return new Asked(request, known, IsKnown: true);
        }

        RequireMetadataFits(request);
        return new Asked(request, Parse(request), IsKnown: false);
    }

    /// <summary>The workload a request means, new or known.</summary>
    private Workload WorkloadOf(Asked asked, IPAddress? caller)
    {
        if (asked.IsKnown)
        {
            return WorkloadOf(asked.Trigger, caller);
        }

        warnings.Report(asked.Trigger);
        var workload = WorkloadOf(asked.Trigger, caller);
        triggers.Keep(asked.Request, asked.Trigger);
        return workload;
    }

    private Workload WorkloadOf(TriggerMetadata trigger, IPAddress? caller)
    {
        RequireConnections(trigger);
        return registry.TryRegister(trigger, out var workload, caller) ? workload : throw TooManyWorkloads();
    }

    /// <summary>
    /// Why a trigger cannot be evaluated for want of a connection; null when it can. One that cannot is nobody's workload and takes
    /// no place.
    /// </summary>
    private ConnectionProblem? ProblemOf(TriggerMetadata trigger)
    {
        if (registry.Find(trigger) is { } workload)
        {
            return workload.Problem;
        }

        var options = configuration.Options;
        return ConnectionRules.Problems(trigger, options.Policies.Resolve(trigger.Namespace, trigger.Name, trigger.Policy).Policy, options).FirstOrDefault();
    }

    private void RequireConnections(TriggerMetadata trigger)
    {
        if (ProblemOf(trigger) is { } problem)
        {
            throw Refuse(problem);
        }
    }

    private static RpcException Refuse(ConnectionProblem problem) =>
        Refuse(problem.IsForbidden ? StatusCode.PermissionDenied : StatusCode.FailedPrecondition, problem.Sentence);

    private PublishedDecision Decided(Workload workload)
    {
        if (workload.Evaluation is { Queues.IsRefused: true })
        {
            throw Refuse(StatusCode.FailedPrecondition, "queueRegex takes too long to match against the queues there are; simplify it (counted repetitions such as {0,50} are the usual cause)");
        }

        if (workload.Evaluation is { Fleet.IsRefused: true })
        {
            throw Refuse(StatusCode.FailedPrecondition, "podRegex takes too long to match against the pods there are; simplify it (counted repetitions such as {0,50} are the usual cause)");
        }

        var published = workload.Published;
        var now = clock.Now;
        if (published is null)
        {
            throw Refuse(StatusCode.Unavailable, "not sampled yet: the workload was registered just now; the next poll gets an answer");
        }

        return WhyUnavailable(workload, published, now) is { } reason
            ? throw Refuse(StatusCode.Unavailable, reason)
            : published;
    }

    /// <summary>Why a decision may not be given out, or null when it may (K20).</summary>
    private static string? WhyUnavailable(Workload workload, PublishedDecision published, DateTimeOffset now)
    {
        var decision = published.Decision;
        if (now > published.ValidUntil)
        {
            return string.Create(CultureInfo.InvariantCulture, $"evaluation stalled: the last decision is {(now - decision.DecidedAt).TotalSeconds:0} s old");
        }

        if (decision.IsDecided)
        {
            return null;
        }

        if (decision.Reason == DecisionReason.NotSampled && workload.Connection is { } connection && connection.Source.Current is { HasSwept: true } readings && !readings.CoversVhost(workload.Trigger.Vhost))
        {
            return $"{decision.Reason.Code()}: RabbitMQ connection '{connection.Name}' does not read the virtual host named by the key vhost: it is not among the connection's vhosts, or its user may not see it";
        }

        var which = decision is { Queues: > 1, TroubledQueue: >= 0 }
            ? $" (queue {decision.TroubledQueue + 1} of {decision.Queues})"
            : "";
        var why = decision.Reason is DecisionReason.QueueMissing or DecisionReason.StreamUnsupported || published.Fault is null
            ? ""
            : ": " + published.Fault.Sentence;
        return $"{decision.Reason.Code()}: {DecisionText.Describe(decision, now)}{which}{why}";
    }

    private static GetMetricSpecResponse SpecOf(TriggerMetadata trigger) => new()
    {
        MetricSpecs =
        {
            new MetricSpec { MetricName = trigger.MetricName, TargetSize = ScalingDecision.Target, TargetSizeFloat = ScalingDecision.Target },
        },
    };

    private static IPAddress? CallerOf(ServerCallContext context) => context.GetHttpContext().Connection.RemoteIpAddress;

    // Not WriteResponseHeadersAsync: that sends the headers by themselves, a flush more for every answer.
    private static void AddDecisionNumber(ServerCallContext context, PublishedDecision published) =>
        context.GetHttpContext().Response.Headers[DecisionHeader] = published.Number.ToString(CultureInfo.InvariantCulture);

    private void RequireMetadataFits(ScaledObjectRef request)
    {
        if (!MetadataFits(request))
        {
            throw Refuse(StatusCode.ResourceExhausted, $"trigger metadata is larger than {configuration.Options.MaximumMetadataBytes} bytes (limits.metadataBytes)");
        }
    }

    private bool MetadataFits(ScaledObjectRef request)
    {
        var left = configuration.Options.MaximumMetadataBytes;
        foreach (var (key, value) in request.ScalerMetadata)
        {
            left -= System.Text.Encoding.UTF8.GetByteCount(key) + System.Text.Encoding.UTF8.GetByteCount(value);
        }

        return left >= 0;
    }

    private RpcException TooManyWorkloads() =>
        Refuse(StatusCode.ResourceExhausted, $"{registry.Limit} workloads are registered already (limits.workloads)");

    /// <summary>A request and what it says; known when it was asked before, by a registered workload.</summary>
    private readonly record struct Asked(ScaledObjectRef Request, TriggerMetadata Trigger, bool IsKnown);

    // K7: the message becomes a Kubernetes event.
    private static RpcException Refuse(StatusCode code, string message) => new(new Status(code, message));
}
