namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Single queues and virtual hosts that cannot be looked at over AMQP. A trigger may name any, so they are no fault of the
/// connection; each is kept until it is well, or nobody asks for it any more, because one pass asks for others than the next.
/// Guarded by the source's lock.
/// </summary>
internal sealed class AmqpTroubles
{
    private static readonly TimeSpan KeptFor = TimeSpan.FromSeconds(30);

    private readonly Dictionary<QueueName, (SourceReason Reason, DateTimeOffset At)> _queues = [];
    private IReadOnlyDictionary<string, SourceReason> _vhosts = new Dictionary<string, SourceReason>(StringComparer.Ordinal);

    /// <summary>Takes a pass.</summary>
    /// <param name="pass">The pass.</param>
    /// <param name="isAnswered">Whether the broker answered any of it: if not, silence says nothing about one queue.</param>
    /// <param name="keepFor">How long a queue may wait for its turn.</param>
    public void Note(DeclarePass pass, bool isAnswered, TimeSpan keepFor)
    {
        _vhosts = pass.Vhosts;
        foreach (var (queue, answer, at) in pass.Outcomes)
        {
            var reason = answer.Result switch
            {
                DeclareResult.Refused => SourceReason.Forbidden,
                DeclareResult.Unreachable => SourceReason.QueueUnreachable,
                DeclareResult.TimedOut when isAnswered => SourceReason.Timeout,
                _ => SourceReason.None,
            };
            if (reason != SourceReason.None)
            {
                _queues[queue] = (reason, at);
            }
            else if (answer.Result is DeclareResult.Found or DeclareResult.NoSuchQueue)
            {
                _queues.Remove(queue);
            }
        }

        foreach (var (queue, (_, at)) in _queues)
        {
            if (pass.StartedAt - at > KeptFor && pass.StartedAt - at > keepFor)
            {
                _queues.Remove(queue);
            }
        }
    }

    /// <summary>All of them in one sentence, which changes only when they do; null without any.</summary>
    public SourceFault? Summary(FaultSentences sentences, string endpoint, DateTimeOffset since)
    {
        var parts = new List<string>();
        var first = SourceReason.None;
        Add(SourceReason.NotFound, _vhosts.Values.Count(static reason => reason == SourceReason.NotFound), "virtual hosts that do not exist or are closed to the user");
        Add(SourceReason.ConnectionFailed, _vhosts.Values.Count(static reason => reason != SourceReason.NotFound), "virtual hosts that cannot be entered");
        Add(SourceReason.Forbidden, Count(SourceReason.Forbidden), "queues refused to the user");
        Add(SourceReason.QueueUnreachable, Count(SourceReason.QueueUnreachable), "queues whose node is down or that are exclusive to another connection");
        Add(SourceReason.Timeout, Count(SourceReason.Timeout), "queues that give no answer");
        return first == SourceReason.None ? null : new SourceFault(first, endpoint, sentences.DescribeTroubles(endpoint, parts), since);

        int Count(SourceReason reason) => _queues.Values.Count(one => one.Reason == reason);

        void Add(SourceReason reason, int count, string what)
        {
            if (count > 0)
            {
                first = first == SourceReason.None ? reason : first;
                parts.Add(FormattableString.Invariant($"{what} ({count})"));
            }
        }
    }

    /// <summary>The fault of each queue and virtual host; null without any.</summary>
    public AmqpTroublesNow? Publish(FaultSentences sentences, string endpoint, DateTimeOffset since)
    {
        if (_queues.Count == 0 && _vhosts.Count == 0)
        {
            return null;
        }

        var faults = new Dictionary<SourceReason, SourceFault>();
        return new AmqpTroublesNow(
            _queues.ToDictionary(static pair => pair.Key, pair => Fault(pair.Value.Reason)),
            _vhosts.ToDictionary(static pair => pair.Key, pair => Fault(pair.Value), StringComparer.Ordinal));

        SourceFault Fault(SourceReason reason)
        {
            if (!faults.TryGetValue(reason, out var fault))
            {
                faults[reason] = fault = new SourceFault(reason, endpoint, sentences.Describe(RabbitMqEndpoint.Amqp, endpoint, reason), since);
            }

            return fault;
        }
    }
}

/// <summary>What is wrong with single queues and virtual hosts as of one pass.</summary>
internal sealed record AmqpTroublesNow(
    IReadOnlyDictionary<QueueName, SourceFault> Queues, IReadOnlyDictionary<string, SourceFault> Vhosts);
