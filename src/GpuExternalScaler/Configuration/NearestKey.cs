namespace GpuExternalScaler.Configuration;

/// <summary>Finds the key that was probably meant.</summary>
internal static class NearestKey
{
    /// <summary>The nearest of the known keys, or null when none is near.</summary>
    public static string? To(string key, IEnumerable<string> known)
    {
        if (key.Length > 64)
        {
            return null;
        }

        // A word that was left out is further off than any typo: password for passwordFile.
        if (key.Length >= 4 && known.Order(StringComparer.Ordinal).FirstOrDefault(candidate => candidate.StartsWith(key, StringComparison.OrdinalIgnoreCase)) is { } longer)
        {
            return longer;
        }

        string? nearest = null;
        var least = Math.Max(2, key.Length / 3) + 1;
        foreach (var candidate in known.Order(StringComparer.Ordinal))
        {
            var distance = Distance(key.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance < least)
            {
                (least, nearest) = (distance, candidate);
            }
        }

        return nearest;
    }

    // Levenshtein, one row at a time.
    private static int Distance(string a, string b)
    {
        var row = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++)
        {
            row[j] = j;
        }

        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), substituted);
            }
        }

        return row[b.Length];
    }
}
