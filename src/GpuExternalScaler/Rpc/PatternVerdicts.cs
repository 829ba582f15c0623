using System.Collections.Concurrent;

namespace GpuExternalScaler.Rpc;

/// <summary>
/// Which patterns can be used, remembered, since each RPC asks. KEDA sends the same few for ever; past the bound somebody is
/// inventing them. Only the verdict is kept: an automaton grows with what it is matched against.
/// </summary>
internal sealed class PatternVerdicts(Func<string, bool> canBeUsed, int longest)
{
    private const int Remembered = 4096;
    private readonly ConcurrentDictionary<string, bool> _verdicts = new(StringComparer.Ordinal);

    /// <summary>Whether a pattern can be used.</summary>
    public bool Of(string pattern)
    {
        if (pattern.Length > longest)
        {
            return false;
        }

        if (!_verdicts.TryGetValue(pattern, out var valid))
        {
            valid = canBeUsed(pattern);
            if (_verdicts.Count >= Remembered)
            {
                _verdicts.Clear();
            }

            _verdicts.TryAdd(pattern, valid);
        }

        return valid;
    }
}
