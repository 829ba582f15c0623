namespace GpuExternalScaler.Simulation.Fleets;

/// <summary>How long messages waited: by tenths of a second up to 10 s, by 2 % above.</summary>
internal sealed class WaitHistogram(double limit)
{
    private const int Tenths = 100;
    private const double FinestSeconds = 10;
    private static readonly double Step = Math.Log(1.02);

    private readonly long[] _counts = new long[Tenths + 700];
    private long _turn;

    /// <summary>Messages.</summary>
    public long Total { get; private set; }

    /// <summary>Of those, longer than the limit.</summary>
    public long Late { get; private set; }

    /// <summary>Adds one.</summary>
    public void Add(double seconds)
    {
        Total++;
        Late += seconds > limit ? 1 : 0;
        _counts[Bucket(seconds)]++;
    }

    /// <summary>Adds some of which only whole seconds are known: both ends lie anywhere in theirs.</summary>
    public void Add(int seconds, long count)
    {
        Total += count;
        if (seconds == limit)
        {
            // Half of them are on either side; where that is half a message, by turns.
            Late += (count + _turn) / 2;
            _turn = (count + _turn) % 2;
        }
        else
        {
            Late += seconds > limit ? count : 0;
        }

        _counts[Bucket(seconds)] += count;
    }

    /// <summary>The wait in seconds that a share of the messages does not exceed; 0 without messages.</summary>
    public double Quantile(double share)
    {
        var rank = share * Total;
        double seen = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            if (_counts[i] > 0 && seen + _counts[i] >= rank)
            {
                return Start(i) + ((rank - seen) / _counts[i] * (Start(i + 1) - Start(i)));
            }

            seen += _counts[i];
        }

        return 0;
    }

    /// <summary>Messages by whole seconds, the last for all of that and longer.</summary>
    public long[] BySeconds(int seconds)
    {
        var counts = new long[seconds + 1];
        for (var i = 0; i < _counts.Length; i++)
        {
            counts[Math.Min(seconds, (int)Math.Round(Start(i), 6))] += _counts[i];
        }

        return counts;
    }

    private static double Start(int bucket) => bucket <= Tenths ? bucket / (Tenths / FinestSeconds) : FinestSeconds * Math.Exp((bucket - Tenths) * Step);

    private int Bucket(double seconds) => seconds < FinestSeconds
        ? Math.Max(0, (int)(seconds * (Tenths / FinestSeconds)))
        : Math.Min(_counts.Length - 1, Tenths + (int)(Math.Log(seconds / FinestSeconds) / Step));
}
