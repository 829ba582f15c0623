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
            if (!System.IO.File.Exists(File))
            {
                using (Open(File))
                {
                    return null;
                }
            }

            using var stream = Open(File);
            return stream.Length > 0 && Scaling.Recording.Recordings.WholeLength(stream) is null ? "it exists and is no recording, and is not overwritten" : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return exception.Message;
        }
    }

    /// <summary>Opens a file to write on; one that there was not can be read by its owner alone.</summary>
    public static FileStream Open(string file)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.Read | FileShare.Delete, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        return new FileStream(file, options);
    }
}
