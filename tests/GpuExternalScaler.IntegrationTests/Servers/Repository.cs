namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>Where the files are that the tests need, seen from the test assembly.</summary>
public static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>The program as the same build produced it: same configuration, same framework.</summary>
    public static string ProgramPath
    {
        get
        {
            var framework = new DirectoryInfo(AppContext.BaseDirectory);
            return Prerequisite.File(
                Path.Combine(
                    Root, "src", "GpuExternalScaler", "bin", framework.Parent!.Name, framework.Name,
                    "gpu-external-scaler.dll"),
                "the program");
        }
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "GpuExternalScaler.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException("The tests run from inside the source tree: no GpuExternalScaler.sln above them.");
    }
}

/// <summary>
/// What has to be on the machine before an integration test can run. A test that finds it missing fails: a skipped
/// test would let a machine without a broker call itself green.
/// </summary>
public static class Prerequisite
{
    public static string File(string path, string what) =>
        System.IO.File.Exists(path)
            ? path
            : throw new InvalidOperationException(
                $"{what} is missing ({path}). Run tests/run, which installs and builds what the integration tests need.");
}
