namespace GpuExternalScaler.Sources;

/// <summary>Why samples of an accelerator or a model server were left out. The rest of the page counts (T16).</summary>
public enum SampleRefusal : byte
{
    /// <summary>The line is no sample; values that are words are the usual case.</summary>
    BadLine,

    /// <summary>NaN, infinite, negative, or outside what the figure can be.</summary>
    BadValue,

    /// <summary>A label that matters is longer than any name or identity can be.</summary>
    BadLabel,

    /// <summary>The sample does not say which device it is about.</summary>
    NoDevice,

    /// <summary>The sample does not say which pod it is about.</summary>
    NoPod,

    /// <summary>The sample's own timestamp is older than the connection's <c>staleAfter</c> (T20).</summary>
    Stale,

    /// <summary>The sample's own timestamp is further ahead than <c>staleAfter</c>.</summary>
    AheadOfTime,

    /// <summary>
    /// Memory outside 1 to 400 GiB per device, or more in use than there is: the unit is not what the name says (T8).
    /// </summary>
    ImplausibleMemory,

    /// <summary>Old and new metric names give one device different sizes, so one of them is wrong (T8).</summary>
    Contradiction,

    /// <summary>There are more rows than any fleet has; what is read then is not the whole of it.</summary>
    TooMany,
}

/// <summary>Text of <see cref="SampleRefusal"/>.</summary>
public static class SampleRefusalCodes
{
    /// <summary>The stable code in snake case, for example <c>bad_value</c>.</summary>
    public static string Code(this SampleRefusal refusal) => refusal switch
    {
        SampleRefusal.BadLine => "bad_line",
        SampleRefusal.BadValue => "bad_value",
        SampleRefusal.BadLabel => "bad_label",
        SampleRefusal.NoDevice => "no_device",
        SampleRefusal.NoPod => "no_pod",
        SampleRefusal.Stale => "stale",
        SampleRefusal.AheadOfTime => "ahead_of_time",
        SampleRefusal.ImplausibleMemory => "implausible_memory",
        SampleRefusal.Contradiction => "contradiction",
        _ => "too_many",
    };
}

/// <summary>Samples, or devices, left out of a reading for one reason.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Count">How many samples; devices for <see cref="SampleRefusal.Contradiction"/>.</param>
/// <param name="Example">One device it happened to, the first by name; empty where that is not known.</param>
public sealed record RefusedSamples(SampleRefusal Reason, int Count, string Example);

/// <summary>Counts refusals during a sweep.</summary>
internal sealed class RefusalTally
{
    private readonly int[] _counts = new int[Enum.GetValues<SampleRefusal>().Length];
    private readonly string[] _examples = new string[Enum.GetValues<SampleRefusal>().Length];

    public void Clear()
    {
        Array.Clear(_counts);
        Array.Clear(_examples);
    }

    public void Add(SampleRefusal reason, string example = "", int count = 1)
    {
        _counts[(int)reason] += count;

        // The first by name, so that the order of a page's lines does not show.
        var present = _examples[(int)reason];
        if (example.Length > 0 && (present is null || string.CompareOrdinal(example, present) < 0))
        {
            _examples[(int)reason] = example;
        }
    }

    public RefusedSamples[] ToArray()
    {
        var kinds = _counts.Count(static count => count > 0);
        if (kinds == 0)
        {
            return [];
        }

        var result = new RefusedSamples[kinds];
        var next = 0;
        for (var reason = 0; reason < _counts.Length; reason++)
        {
            if (_counts[reason] > 0)
            {
                result[next++] = new RefusedSamples((SampleRefusal)reason, _counts[reason], _examples[reason] ?? "");
            }
        }

        return result;
    }
}
