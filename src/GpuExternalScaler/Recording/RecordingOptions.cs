namespace GpuExternalScaler.Recording;

/// <summary>Where decisions are recorded, and how much of them is kept.</summary>
/// <param name="File">The newest half; the other is beside it, with <c>.1</c> behind its name.</param>
/// <param name="Limit">Most bytes of both together.</param>
internal sealed record RecordingOptions(string File, long Limit)
{
    /// <summary>A quarter of a gigabyte: some days of a hundred workloads.</summary>
    public const long DefaultLimit = 256_000_000;

    /// <summary>Less would hold little but the names.</summary>
    public const long SmallestLimit = 64 * 1024;

    /// <summary>The half that is no longer written to.</summary>
    public string Older => File + ".1";

    /// <summary>What keeps the file from being written to; null if nothing does. A file that is no recording is not touched.</summary>
    public string? Problem()
    {
        try
        {
            if (!IsOurs(File, Open))
            {
                return "it exists and is no recording, and is not overwritten";
            }

            return System.IO.File.Exists(Older) && !IsOurs(Older, System.IO.File.OpenRead) ? $"{Older} exists and is no recording, and is not overwritten" : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return exception.Message;
        }
    }

    private static bool IsOurs(string file, Func<string, FileStream> open)
    {
        using var stream = open(file);
        return stream.Length == 0 || Scaling.Recording.Recordings.WholeLength(stream) is not null;
    }

    /// <summary>Opens a file to write on; one that there was not can be read by its owner alone.</summary>
    public static FileStream Open(string file) => Open(file, FileShare.Read | FileShare.Delete);

    /// <summary>
    /// Claims a recording for this process until what it gives is disposed. On Unix two that share a file for reading both get it to
    /// write to, and would write over each other: what keeps others out is a file beside it that nobody shares.
    /// </summary>
    /// <exception cref="IOException">Another process has it.</exception>
    public static FileStream Claim(string file) => Open(file + ".lock", FileShare.None);

    private static FileStream Open(string file, FileShare share)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = share, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        return new FileStream(file, options);
    }
}
