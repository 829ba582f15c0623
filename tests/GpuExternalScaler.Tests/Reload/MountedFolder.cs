using System.Runtime.InteropServices;

namespace GpuExternalScaler.Tests.Reload;

/// <summary>
/// A folder as the kubelet mounts a ConfigMap or Secret: each file is a link through <c>..data</c>, itself a link to a folder
/// of its own for each version, put in place by a rename.
/// </summary>
internal sealed class MountedFolder(string path)
{
    private int _version;

    // File.Move looks at what a link leads to.
    [DllImport("libc", EntryPoint = "rename", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Rename(string from, string to);

    /// <summary>Publishes a version of all files and removes the one before.</summary>
    public void Swap(params (string Name, string Text)[] files)
    {
        var data = Path.Combine(path, "..data");
        var before = Path.Exists(data) ? File.ResolveLinkTarget(data, returnFinalTarget: true) : null;
        var version = $"..2026_01_05_09_00_00.{++_version}";
        var folder = Directory.CreateDirectory(Path.Combine(path, version));
        foreach (var (name, text) in files)
        {
            File.WriteAllText(Path.Combine(folder.FullName, name), text);
        }

        var next = Path.Combine(path, "..data_tmp");
        File.CreateSymbolicLink(next, version);
        Rename(next, data).Should().Be(0);
        foreach (var (name, _) in files)
        {
            var link = Path.Combine(path, name);
            if (!Path.Exists(link))
            {
                File.CreateSymbolicLink(link, Path.Combine("..data", name));
            }
        }

        if (before is not null)
        {
            Directory.Delete(before.FullName, recursive: true);
        }
    }
}
