namespace GpuExternalScaler.Sources.RabbitMq;

/// <content>What stands in for the metrics, or adds to them: totals, declares and consumers.</content>
internal sealed partial class BrokerState
{
    /// <summary>
    /// Whether the list of totals should be read now: as a stand-in for the metrics, or because nothing else tells how
    /// queues were declared.
    /// </summary>
    public bool TotalsAreDue(DateTimeOffset now)
    {
        lock (_gate)
        {
            if (_options.Management is null || (_options.HasMetrics && !_metricsSwept))
            {
                return false;
            }

            if (FallbackFillsGaps)
            {
                // Without declares only the list knows consumers, and totals before it would be gauges without any.
                return (_options.Amqp is not null || _listStartedAt != default)
                    && now - _totalsStartedAt >= _options.TotalsInterval - (_options.Interval / 2);
            }

            var hasNewQueues = _table.Count != _argumentsKnownFor;
            return !ListIsNeeded
                && now - Max(_argumentsAt, _totalsStartedAt) >= (hasNewQueues ? NewArgumentsInterval : ArgumentsInterval);
        }
    }

    /// <summary>Whether the consumer list should be read now.</summary>
    public bool ConsumersAreDue(DateTimeOffset now)
    {
        lock (_gate)
        {
            // It only tells of queues that are known.
            return _options.Management is not null && _status.LastSuccessAt != default && _consumers.IsListDue(now);
        }
    }

    /// <summary>Whether passive declares stand in for the metrics, so that all wanted queues must be asked for.</summary>
    public bool DeclaresServeGauges
    {
        get
        {
            lock (_gate)
            {
                return FallbackFillsGaps && (!_options.HasMetrics || _metricsSwept);
            }
        }
    }

    /// <summary>Time between two passes over all wanted queues while declares stand in for the metrics.</summary>
    public TimeSpan DeclareAllInterval => _fallback.AmqpInterval;

    /// <summary>Takes the answers of one read of the list of totals.</summary>
    /// <param name="startedAt">When the read began.</param>
    /// <param name="now">Now.</param>
    /// <param name="endpoint"><c>host:port</c>, for sentences.</param>
    /// <param name="answers">One per virtual host, or one for all.</param>
    public SweepOutcome ApplyTotals(
        DateTimeOffset startedAt, DateTimeOffset now, string endpoint, IReadOnlyList<EndpointAnswer> answers)
    {
        lock (_gate)
        {
            _totalsStartedAt = startedAt;
            var faults = new List<SourceFault>();
            var since = _status.TotalsFault?.Since ?? now;
            var bytes = ReadLists(_totals, RabbitMqEndpoint.ManagementTotals, answers, now, endpoint, faults, since);
            var answered = answers.Count - faults.Count;
            if (faults.Count == 0 && _totals.QueuesWithTotals == 0)
            {
                var reason = _totals.Queues == 0 ? SourceReason.NoQueuesVisible : SourceReason.StatisticsMissing;
                faults.Add(Fault(RabbitMqEndpoint.ManagementTotals, endpoint, reason, 0, since));
            }

            var succeeded = _totals.QueuesWithTotals > 0;
            SetTotalsReadings(startedAt, now);
            NoteArguments(_totals, faults.Count, startedAt);
            if (succeeded)
            {
                _totalsSucceededAt = startedAt;
                _status = _status with { LastSuccessAt = Max(startedAt, _status.LastSuccessAt) };
            }

            _status = _status with
            {
                LastSweepStartedAt = Max(startedAt, _status.LastSweepStartedAt),
                TotalsFault = faults.Count == 0 ? null : Summarise(faults),
            };
            Publish(now);
            return new SweepOutcome
            {
                Connection = _options.Name,
                Endpoint = RabbitMqEndpoint.ManagementTotals,
                StartedAt = startedAt,
                Duration = now - startedAt,
                Bytes = bytes,
                Queues = _totals.QueuesWithTotals,
                Asked = answers.Count,
                Answered = answered,
                BadSamples = _totals.BadEntries + _totals.BadValues,
                Succeeded = succeeded,
                IsComplete = succeeded && faults.Count == 0 && _totals.BadEntries == 0,
                Faults = faults,
                Choice = _status.Choice,
            };
        }
    }

    /// <summary>Takes the answer of one pass of declares.</summary>
    public SweepOutcome ApplyDeclares(DeclarePass pass, string endpoint, DateTimeOffset now)
    {
        lock (_gate)
        {
            _fallback.Rotation = pass.Rotation;
            var mayServe = FallbackFillsGaps && (!_options.HasMetrics || _metricsSwept);
            var found = 0;
            var answered = 0;
            var unanswered = SourceReason.None;
            foreach (var (queue, answer, at) in pass.Outcomes)
            {
                answered += answer.Result is DeclareResult.TimedOut or DeclareResult.Lost ? 0 : 1;
                switch (answer.Result)
                {
                    case DeclareResult.Found:
                        found++;
                        if (_table.Intern(in queue, now) is >= 0 and var slot)
                        {
                            _fallback.TakeDeclared(ref _table.Entries[slot], answer.Ready, answer.Consumers, at, mayServe);
                        }

                        break;
                    case DeclareResult.NoSuchQueue:
                        if (_table.Intern(in queue, now) is >= 0 and var gone)
                        {
                            _fallback.TakeNoSuchQueue(ref _table.Entries[gone], at);
                        }

                        break;
                    case DeclareResult.TimedOut:
                        unanswered = SourceReason.Timeout;
                        break;
                    case DeclareResult.Lost:
                        unanswered = unanswered == SourceReason.None ? SourceReason.ConnectionFailed : unanswered;
                        break;
                    default:
                        break;
                }
            }

            // Asked for nothing, the broker has only shown that it is there.
            var succeeded = answered > 0 || (pass.Asked == 0 && pass.IsConnected);
            if (answered > 0)
            {
                _declaredUntil = Max(pass.StartedAt + (found > 0 ? _fallback.AmqpFreshFor : _fallback.AbsentFreshFor), _declaredUntil);
            }

            if (succeeded)
            {
                _status = _status with { LastSuccessAt = Max(pass.StartedAt, _status.LastSuccessAt) };
            }

            var since = _status.AmqpFault?.Since ?? now;
            var fails = !pass.IsConnected || (answered == 0 && unanswered != SourceReason.None);
            _troubles.Note(pass, answered > 0, 3 * _fallback.Rotation);
            var fault = fails ? ConnectionFault(pass, unanswered, endpoint, since)
                : pass.Renewal != SourceReason.None ? new SourceFault(pass.Renewal, endpoint, _sentences.DescribeRenewal(endpoint, pass.Renewal), since)
                : _troubles.Summary(_sentences, endpoint, since);
            _status = _status with
            {
                LastSweepStartedAt = Max(pass.StartedAt, _status.LastSweepStartedAt),
                AmqpFault = fault,
                AmqpFails = fails || pass.Renewal != SourceReason.None,
                Troubles = _troubles.Publish(_sentences, endpoint, since),
            };
            Publish(now);
            return new SweepOutcome
            {
                Connection = _options.Name,
                Endpoint = RabbitMqEndpoint.Amqp,
                StartedAt = pass.StartedAt,
                Duration = now - pass.StartedAt,
                Queues = found,
                Asked = pass.Asked,
                Answered = pass.Outcomes.Count,
                Succeeded = succeeded,
                Faults = fault is null ? [] : [fault],
                Choice = _status.Choice,
            };
        }
    }

    /// <summary>Takes the answer of one read of the consumer list (T5).</summary>
    public SweepOutcome ApplyConsumers(DateTimeOffset startedAt, DateTimeOffset now, string endpoint, EndpointAnswer answer)
    {
        lock (_gate)
        {
            var faults = new List<SourceFault>();
            var reason = _consumers.TakeList(answer, startedAt, out var queues);
            if (reason is not (SourceReason.None or SourceReason.ConsumersHidden))
            {
                faults.Add(Fault(RabbitMqEndpoint.ManagementConsumers, endpoint, reason, answer.Status, now));
            }

            _status = _status with
            {
                ConsumersFault = reason == SourceReason.None ? null
                    : Fault(RabbitMqEndpoint.ManagementConsumers, endpoint, reason, answer.Status, _status.ConsumersFault?.Since ?? now),
            };
            Publish(now);
            return new SweepOutcome
            {
                Connection = _options.Name,
                Endpoint = RabbitMqEndpoint.ManagementConsumers,
                StartedAt = startedAt,
                Duration = now - startedAt,
                Bytes = answer.Body.Length,
                Queues = queues,
                Asked = 1,
                Answered = 1 - faults.Count,
                Succeeded = faults.Count == 0,
                Faults = faults,
                Choice = _status.Choice,
            };
        }
    }

    /// <summary>Takes consumer events (T5). Published with the next sweep.</summary>
    /// <param name="events">In the order in which they came.</param>
    /// <param name="isOpen">Whether more would come.</param>
    /// <param name="isWhole">False if some were lost: then only the list can tell.</param>
    /// <param name="reason">Why no events come.</param>
    /// <param name="endpoint"><c>host:port</c>, for sentences.</param>
    /// <param name="now">Now.</param>
    public void ApplyConsumerEvents(
        IReadOnlyList<ConsumerEvent> events, bool isOpen, bool isWhole, SourceReason reason, string endpoint, DateTimeOffset now)
    {
        lock (_gate)
        {
            _consumers.TakeEvents(events, isOpen, isWhole, now);
            _status = _status with
            {
                EventsFault = reason == SourceReason.None ? null
                    : Fault(RabbitMqEndpoint.AmqpEvents, endpoint, reason, 0, _status.EventsFault?.Since ?? now),
            };
        }
    }

    /// <summary>Why a broker cannot be asked at all.</summary>
    private SourceFault ConnectionFault(DeclarePass pass, SourceReason unanswered, string endpoint, DateTimeOffset since)
    {
        // A virtual host that is not there is no news of a broker that is not there either.
        var reasons = pass.Vhosts.Values.Append(unanswered).Where(static reason => reason != SourceReason.None).Distinct().Order().ToList();
        reasons = reasons.Exists(static reason => reason != SourceReason.NotFound) ? reasons.FindAll(static reason => reason != SourceReason.NotFound) : reasons;
        return reasons.Count == 0
            ? Fault(RabbitMqEndpoint.Amqp, endpoint, SourceReason.ConnectionFailed, 0, since)
            : Summarise(reasons.ConvertAll(reason => Fault(RabbitMqEndpoint.Amqp, endpoint, reason, 0, since)));
    }

    /// <summary>
    /// A queue the totals lack may exist all the same: a broker leaves out those whose node has just stopped answering it.
    /// </summary>
    private void SetTotalsReadings(DateTimeOffset startedAt, DateTimeOffset now)
    {
        var entries = _table.Entries;
        for (var slot = 0; slot < entries.Length; slot++)
        {
            ref var entry = ref entries[slot];
            var row = _totals.Rows.Get(slot);
            SetDeclaration(ref entry, in row);
            FallbackGauges.NoteListed(ref entry, in row, wholeSince: null, startedAt);
            if (row.Has(RowFields.Coarse) && IsGap(in entry, startedAt, now))
            {
                _fallback.TakeTotals(ref entry, in row, startedAt);
            }
        }
    }
}
