using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>
/// A trigger's queues as slots of the broker's readings. A pattern looks at each new name once; nothing is looked up
/// again until the set of names changes.
/// </summary>
internal sealed class QueueBinding
{
    private readonly QueueSelector _selector;
    private readonly string _vhost;
    private readonly int[] _named;
    private readonly List<int> _matched = [];
    private readonly PatternPatience _patience = new();
    private Dictionary<QueueName, (QueueKind Kind, bool IsSingleActive)>? _facts;
    private QueueBinding? _before;
    private Regex? _pattern;
    private int _generation = -1;
    private long _namesVersion = -1;
    private int _scanned;
    private bool _scannedOnce;

    /// <param name="selector">Which queues.</param>
    /// <param name="vhost">Their virtual host.</param>
    /// <param name="source">Who reads them.</param>
    public QueueBinding(QueueSelector selector, string vhost, RabbitMqSource source)
    {
        Source = source;
        _selector = selector;
        _vhost = vhost;
        _named = new int[selector.Names.Count];
        Array.Fill(_named, -1);
    }

    /// <summary>The same queues as another binding's, of another source.</summary>
    public QueueBinding(QueueBinding before, RabbitMqSource source)
        : this(before._selector, before._vhost, source)
    {
        _before = before;
        _pattern = before._pattern;
        Version = before.Version + 1;
    }

    /// <summary>Whether the queues are found by a pattern.</summary>
    public bool IsPattern => _selector.Pattern is not null;

    /// <summary>Whether the pattern took so long that it is no longer tried: it would slow everybody's answers down.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>Changes when other queues are meant than before.</summary>
    public int Version { get; private set; }

    /// <summary>The slots in use, for finding out who shares a queue; -1 for a name without one.</summary>
    public ReadOnlySpan<int> Slots => IsPattern ? CollectionsMarshal.AsSpan(_matched) : _named;

    /// <summary>Who reads the queues.</summary>
    public RabbitMqSource Source { get; }

    /// <summary>Whether the slots are those of these readings of its source.</summary>
    public bool IsBoundTo(BrokerReadings readings) => readings.Generation == _generation;

    /// <summary>The name of the queue whose reading stands at an index of what <see cref="Read"/> returned; null for none.</summary>
    public QueueName? NameAt(int index, BrokerReadings readings)
    {
        var slots = Slots;
        return index >= slots.Length ? null
            : slots[index] >= 0 ? readings.Names[slots[index]]
            : new QueueName(_vhost, _selector.Names[index]);
    }

    /// <summary>
    /// Whether its source can say by now of each queue what the one before knew: that it is there or not, and of what kind it
    /// is. From the first part of a sweep, missing queues would look like idle ones.
    /// </summary>
    public bool CanReplaceWhatWasBefore(MatchingBudget budget)
    {
        var other = _before!;
        var (readings, before) = (Source.Current, other.Source.Current);
        Rebind(readings, budget);
        if (!other.IsBoundTo(before) || (IsPattern && (IsRefused || !_scannedOnce)))
        {
            return false;
        }

        for (var i = 0; i < other.Slots.Length; i++)
        {
            var queue = other.NameAt(i, before)!.Value;
            var known = other.Slots[i] < 0 ? before.NeverSeenReading(_vhost) : before[other.Slots[i]];
            var now = readings.Read(queue.Vhost, queue.Name);
            if ((known.Presence != QueuePresence.Unobserved && now.Presence == QueuePresence.Unobserved) ||
                (known.Kind != QueueKind.Unknown && now is { Kind: QueueKind.Unknown, Presence: QueuePresence.Present }))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>
    /// Takes the place of what was before, and keeps what that knew of the queues for good, for as long as its own source
    /// cannot tell: a stream has no backlog whoever reads it.
    /// </summary>
    public void Replace()
    {
        var other = _before!;
        var before = other.Source.Current;
        _before = null;
        _facts = other._facts;
        for (var i = 0; other.IsBoundTo(before) && i < other.Slots.Length; i++)
        {
            if (other.Slots[i] >= 0 && before[other.Slots[i]] is { Kind: not QueueKind.Unknown } known)
            {
                (_facts ??= [])[before.Names[other.Slots[i]]] = (known.Kind, known.IsSingleActive);
            }
        }
    }

    /// <summary>Fills in the newest readings: one for each queue, in an order that only grows at its end.</summary>
    public ReadOnlySpan<QueueReading> Read(BrokerReadings readings, MatchingBudget budget, ref QueueReading[] buffer)
    {
        Rebind(readings, budget);
        var slots = Slots;
        if (buffer.Length < Math.Max(1, slots.Length))
        {
            buffer = new QueueReading[Math.Max(slots.Length, buffer.Length * 2)];
        }

        if (IsPattern && (IsRefused || !_scannedOnce))
        {
            // Part of the queues would look like all of them.
            buffer[0] = default;
            return buffer.AsSpan(0, 1);
        }

        for (var i = 0; i < slots.Length; i++)
        {
            buffer[i] = slots[i] < 0 ? readings.NeverSeenReading(_vhost) : readings[slots[i]];
            if (_facts is not null && slots[i] >= 0 && buffer[i].Kind == QueueKind.Unknown && _facts.TryGetValue(readings.Names[slots[i]], out var fact))
            {
                buffer[i] = buffer[i] with { Kind = fact.Kind, IsSingleActive = fact.IsSingleActive };
            }
        }

        if (slots.Length > 0)
        {
            return buffer.AsSpan(0, slots.Length);
        }

        buffer[0] = readings.NeverSeenReading(_vhost);
        return buffer.AsSpan(0, 1);
    }

    private void Rebind(BrokerReadings readings, MatchingBudget budget)
    {
        if (readings.Generation != _generation)
        {
            _generation = readings.Generation;
            _namesVersion = -1;
            _scanned = 0;
            _matched.Clear();
            _scannedOnce = false;
            _patience.Restore();
            Version++;
        }

        if (readings.NamesVersion == _namesVersion)
        {
            return;
        }

        if (IsPattern)
        {
            if (Scan(readings.Names, budget))
            {
                _namesVersion = readings.NamesVersion;
            }

            return;
        }

        _namesVersion = readings.NamesVersion;
        for (var i = 0; i < _named.Length; i++)
        {
            var slot = readings.TryFindSlot(_vhost, _selector.Names[i], out var found) ? found : -1;
            if (slot != _named[i])
            {
                Version += _named[i] < 0 ? 0 : 1;
                _named[i] = slot;
            }
        }
    }

    /// <summary>Looks at new names for as long as the tick allows; false when some are left for the next.</summary>
    private bool Scan(ReadOnlySpan<QueueName> names, MatchingBudget budget)
    {
        for (; _scanned < names.Length; _scanned++)
        {
            if (names[_scanned].Vhost != _vhost)
            {
                continue;
            }

            if (_before?.VerdictOn(names[_scanned]) is { } verdict)
            {
                if (verdict)
                {
                    _matched.Add(_scanned);
                }

                continue;
            }

            if (IsRefused || budget.IsSpent)
            {
                return false;
            }

            _pattern ??= QueueSelector.Compile(_selector.Pattern!)!;
            var began = budget.Begin();
            var matches = _pattern.IsMatch(names[_scanned].Name);
            _patience.Add(budget.End(began));
            if (_patience.IsOver)
            {
                // Its automaton may have grown to a gigabyte; it goes with the expression.
                IsRefused = true;
                _pattern = null;
                return false;
            }

            if (matches)
            {
                _matched.Add(_scanned);
            }
        }

        _scannedOnce = true;
        _patience.Restore();
        return true;
    }

    /// <summary>Whether the pattern matches a name; null for one that it was not held against. Who reads the queue is no matter.</summary>
    private bool? VerdictOn(QueueName queue)
    {
        var readings = Source.Current;
        return IsBoundTo(readings) && readings.TryFindSlot(queue.Vhost, queue.Name, out var slot) && slot < _scanned ? _matched.BinarySearch(slot) >= 0 : null;
    }
}
