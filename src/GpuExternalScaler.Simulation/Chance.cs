namespace GpuExternalScaler.Simulation;

/// <summary>A stream of chance (SplitMix64): the same from the same seed on every machine and in every version of .NET.</summary>
internal struct Chance(ulong seed)
{
    private ulong _state = seed;

    /// <summary>The stream of a purpose: what one draws from does not shift what another sees.</summary>
    public static Chance For(int seed, Purpose purpose) => new(unchecked(((ulong)(uint)seed * 0x9E3779B97F4A7C15) ^ ((ulong)purpose * 0xD1B54A32D192ED03)));

    public ulong NextBits()
    {
        _state += 0x9E3779B97F4A7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>From 0 up to, not including, 1.</summary>
    public double Next() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>From 0 up to, not including, a number.</summary>
    public int Next(int below) => (int)(Next() * below);

    /// <summary>Normally distributed, of mean 0 and deviation 1.</summary>
    public double NextNormal() => Math.Sqrt(-2 * Math.Log(1 - Next())) * Math.Cos(2 * Math.PI * Next());

    /// <summary>How many come of which so many are expected (Poisson).</summary>
    public int NextPoisson(double mean)
    {
        if (mean > 200)
        {
            // So many are as good as normally distributed.
            return Math.Max(0, (int)Math.Round(mean + (Math.Sqrt(mean) * NextNormal())));
        }

        var (count, product, end) = (0, Next(), Math.Exp(-mean));
        for (; product > end; count++)
        {
            product *= Next();
        }

        return count;
    }
}

/// <summary>What chance is drawn for.</summary>
internal enum Purpose
{
    Arrivals = 1,
    Offsets,
    Work,
    ColdStarts,
    Victims,
}
