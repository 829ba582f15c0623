namespace GpuExternalScaler.Reload;

/// <summary>What a file held when it was read, or why it could not be.</summary>
/// <param name="Bytes">The whole file; empty with a problem.</param>
/// <param name="Problem">Why it could not be read, in words for an operator and without the path; null when it could.</param>
internal sealed record FileContent(ReadOnlyMemory<byte> Bytes, string? Problem = null)
{
    /// <summary>The bytes as UTF-8.</summary>
    public string Text
    {
        get
        {
            using var reader = new StreamReader(new MemoryStream(Bytes.ToArray()));
            return reader.ReadToEnd();
        }
    }

    /// <summary>Reads a file to its end. What goes wrong is a problem and no exception.</summary>
    /// <param name="path">Followed through links: a mounted ConfigMap is a link to a folder that is swapped.</param>
    /// <param name="largest">Bytes above which it is not read.</param>
    /// <param name="cancellation">Gives up.</param>
    public static async Task<FileContent> ReadAsync(string path, long largest, CancellationToken cancellation)
    {
        try
        {
            // Once opened it is one file, whatever becomes of the link.
            await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0, useAsync: true);
            using var content = new MemoryStream();
            var buffer = new byte[16 * 1024];
            while (await file.ReadAsync(buffer, cancellation) is > 0 and var read)
            {
                content.Write(buffer, 0, read);
                if (content.Length > largest)
                {
                    return new FileContent(default, $"larger than {largest >> 10} KiB");
                }
            }

            return new FileContent(content.ToArray());
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return new FileContent(default, "no such file");
        }
        catch (UnauthorizedAccessException)
        {
            return new FileContent(default, "a folder, or not readable by this user");
        }
        catch (IOException exception)
        {
            return new FileContent(default, exception.GetType().Name);
        }
    }

    /// <summary>Whether two readings found the same.</summary>
    public bool IsSameAs(FileContent other) => Problem == other.Problem && Bytes.Span.SequenceEqual(other.Bytes.Span);
}
