namespace GpuExternalScaler.Reload;

/// <summary>
/// Files that belong together, told of when they have changed and settled: two looks in a row found the same. So a file
/// that is being written is not taken for a finished one, nor a new certificate beside the old key for a pair.
/// </summary>
/// <remarks>
/// Looked at by content: a ConfigMap mount swaps a link two levels above the file, which neither times nor watchers of the
/// file itself show.
/// </remarks>
internal sealed class SettlingFiles(IReadOnlyList<string> paths, long largest, IReadOnlyList<FileContent> known)
{
    private IReadOnlyList<FileContent> _known = known;
    private IReadOnlyList<FileContent> _seen = known;

    /// <summary>Reads files for the first time.</summary>
    public static async Task<IReadOnlyList<FileContent>> ReadAsync(IReadOnlyList<string> paths, long largest, CancellationToken cancellation) =>
        await Task.WhenAll(paths.Select(path => FileContent.ReadAsync(path, largest, cancellation)));

    /// <summary>Looks, up to the last one, that each found something else than the one before.</summary>
    public int LooksSinceSettled { get; private set; }

    /// <summary>Looks once, of two times within the reload interval.</summary>
    /// <returns>What the files hold now, in the order of the paths; null while that is nothing new, or may yet change.</returns>
    public async Task<IReadOnlyList<FileContent>?> LookAsync(CancellationToken cancellation)
    {
        var seen = await ReadAsync(paths, largest, cancellation);
        var isSettled = AreSame(seen, _seen);
        _seen = seen;
        LooksSinceSettled = isSettled ? 0 : LooksSinceSettled + 1;
        if (!isSettled || AreSame(seen, _known))
        {
            return null;
        }

        _known = seen;
        return seen;
    }

    private static bool AreSame(IReadOnlyList<FileContent> one, IReadOnlyList<FileContent> other) =>
        one.Zip(other).All(static pair => pair.First.IsSameAs(pair.Second));
}
