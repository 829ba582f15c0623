using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>
/// A trigger's queues as slots of the broker's readings. A pattern looks at each new name once; nothing is looked up
/// again until the set of names changes.
/// </summary>
internal sealed class QueueBinding
{
    // Linear time has a constant, and a pattern can make it 0.2 s for one name of 200 characters.
    private static readonly TimeSpan PatternLimit = TimeSpan.FromMilliseconds(500);

    private readonly QueueSelector _selector;
    private readonly string _vhost;
    private readonly int[] _named;
    private readonly List<int> _matched = [];
    private Regex? _pattern;
    private TimeSpan _patternTime;
    private int _generation = -1;
    private long _namesVersion = -1;
    private int _scanned;
    private int _excluded;
    private bool _scannedOnce;

    public QueueBinding(QueueSelector selector, string vhost)
    {
        _selector = selector;
        _vhost = vhost;
        _named = new int[selector.Names.Count];
        Array.Fill(_named, -1);
    }

    /// <summary>Whether the queues are found by a pattern.</summary>
    public bool IsPattern => _selector.Pattern is not null;

    /// <summary>Whether the pattern took so long that it is no longer tried: it would slow everybody's answers down.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>Changes when other queues are meant than before.</summary>
    public int Version { get; private set; }

    /// <summary>Changes when queues joined that were never counted before.</summary>
    public int Joins { get; private set; }

    /// <summary>The slots in use, for finding out who shares a queue; -1 for a name without one.</summary>
    public ReadOnlySpan<int> Slots => IsPattern ? CollectionsMarshal.AsSpan(_matched) : _named;

    /// <summary>
    /// Fills in the newest readings. A queue of a pattern that has been gone for <paramref name="holdFor"/> is taken to
    /// be deleted: nobody can tell otherwise.
    /// </summary>
    public ReadOnlySpan<QueueReading> Read(BrokerReadings readings, DateTimeOffset now, TimeSpan holdFor, MatchingBudget budget, ref QueueReading[] buffer)
    {
        Rebind(readings, budget);
        var slots = Slots;
        if (buffer.Length < Math.Max(1, slots.Length))
        {
            buffer = new QueueReading[Math.Max(slots.Length, buffer.Length * 2)];
        }

        var count = 0;
        var excluded = 0;
        for (var i = 0; i < slots.Length; i++)
        {
            if (slots[i] < 0)
            {
                buffer[count++] = NeverSeen(readings);
                continue;
            }

            ref readonly var reading = ref readings[slots[i]];
            if (IsPattern && reading.Presence == QueuePresence.Absent && now - reading.LastPresentAt > holdFor)
            {
                excluded++;
                continue;
            }

            buffer[count++] = reading;
        }

        if (excluded != _excluded)
        {
            _excluded = excluded;
            Version++;
        }

        if (count == 0)
        {
            buffer[count++] = IsPattern && !_scannedOnce ? default : NeverSeen(readings);
        }

        return buffer.AsSpan(0, count);
    }

    private QueueReading NeverSeen(BrokerReadings readings) =>
        readings.CoversVhost(_vhost) ? readings.AbsentReading() : default;

    private void Rebind(BrokerReadings readings, MatchingBudget budget)
    {
        if (readings.Generation != _generation)
        {
            _generation = readings.Generation;
            _namesVersion = -1;
            _scanned = 0;
            _matched.Clear();
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
                Joins += _named[i] < 0 ? 1 : 0;
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

            if (IsRefused || budget.IsSpent)
            {
                return false;
            }

            _pattern ??= QueueSelector.Compile(_selector.Pattern!)!;
            var began = budget.Begin();
            var matches = _pattern.IsMatch(names[_scanned].Name);
            _patternTime += budget.End(began);
            if (_patternTime > PatternLimit)
            {
                // Its automaton may have grown to a gigabyte; it goes with the expression.
                IsRefused = true;
                _pattern = null;
                return false;
            }

            if (matches)
            {
                _matched.Add(_scanned);
                Joins++;
            }
        }

        _scannedOnce = true;
        return true;
    }
}

/// <summary>The time one tick of the evaluation loop may spend on matching patterns, for all workloads together.</summary>
internal sealed class MatchingBudget(TimeProvider time)
{
    private static readonly TimeSpan PerTick = TimeSpan.FromMilliseconds(100);
    private TimeSpan _spent;

    /// <summary>Whether the rest must wait for the next tick.</summary>
    public bool IsSpent => _spent > PerTick;

    /// <summary>Begins a tick.</summary>
    public void Reset() => _spent = TimeSpan.Zero;

    /// <summary>Begins one match.</summary>
    public long Begin() => time.GetTimestamp();

    /// <summary>Ends it, and says how long it took.</summary>
    public TimeSpan End(long began)
    {
        var took = time.GetElapsedTime(began);
        _spent += took;
        return took;
    }
}
