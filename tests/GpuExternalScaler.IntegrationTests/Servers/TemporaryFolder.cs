namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>A folder of its own for one server, gone with it.</summary>
public sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder(string purpose) => Path = Directory.CreateTempSubdirectory($"gpu-scaler-{purpose}-").FullName;

    public string Path { get; }

    public string Write(string name, string content)
    {
        var path = System.IO.Path.Combine(Path, name);
        File.WriteAllText(path, content);
        return path;
    }

    public string CreateFolder(string name) => Directory.CreateDirectory(System.IO.Path.Combine(Path, name)).FullName;

    public void Dispose()
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }
}
