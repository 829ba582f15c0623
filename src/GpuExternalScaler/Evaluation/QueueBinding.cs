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
    private readonly QueueSelector _selector;
    private readonly string _vhost;
    private readonly Regex? _pattern;
    private readonly int[] _named;
    private readonly List<int> _matched = [];
    private int _generation = -1;
    private long _namesVersion = -1;
    private int _scanned;
    private int _included;

    public QueueBinding(QueueSelector selector, string vhost)
    {
        _selector = selector;
        _vhost = vhost;
        _pattern = selector.Pattern is { } pattern ? QueueSelector.Compile(pattern) : null;
        _named = new int[selector.Names.Count];
    }

    /// <summary>Whether the queues are found by a pattern.</summary>
    public bool IsPattern => _pattern is not null;

    /// <summary>Changes when other queues are meant than before.</summary>
    public int Version { get; private set; }

    /// <summary>The slots in use, for finding out who shares a queue; -1 for a name without one.</summary>
    public ReadOnlySpan<int> Slots => IsPattern ? System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_matched) : _named;

    /// <summary>
    /// Fills in the newest readings. A queue of a pattern that has been gone for <paramref name="holdFor"/> on a broker
    /// that answers is taken to be deleted: nobody can tell otherwise.
    /// </summary>
    public ReadOnlySpan<QueueReading> Read(BrokerReadings readings, TimeSpan holdFor, ref QueueReading[] buffer)
    {
        Rebind(readings);
        var slots = Slots;
        if (buffer.Length < Math.Max(1, slots.Length))
        {
            buffer = new QueueReading[Math.Max(slots.Length, buffer.Length * 2)];
        }

        var count = 0;
        for (var i = 0; i < slots.Length; i++)
        {
            if (slots[i] < 0)
            {
                buffer[count++] = readings.CoversVhost(_vhost) ? readings.AbsentReading() : default;
                continue;
            }

            ref readonly var reading = ref readings[slots[i]];
            if (IsPattern && reading.Presence == QueuePresence.Absent && reading.ObservedAt - reading.LastPresentAt > holdFor)
            {
                continue;
            }

            buffer[count++] = reading;
        }

        if (count != _included)
        {
            _included = count;
            Version++;
        }

        if (count == 0)
        {
            buffer[count++] = readings.CoversVhost(_vhost) ? readings.AbsentReading() : default;
        }

        return buffer.AsSpan(0, count);
    }

    private void Rebind(BrokerReadings readings)
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

        _namesVersion = readings.NamesVersion;
        if (_pattern is null)
        {
            for (var i = 0; i < _named.Length; i++)
            {
                var slot = readings.TryFindSlot(_vhost, _selector.Names[i], out var found) ? found : -1;
                Version += slot == _named[i] ? 0 : 1;
                _named[i] = slot;
            }

            return;
        }

        var names = readings.Names;
        for (; _scanned < names.Length; _scanned++)
        {
            if (names[_scanned].Vhost == _vhost && _pattern.IsMatch(names[_scanned].Name))
            {
                _matched.Add(_scanned);
                Version++;
            }
        }
    }
}
