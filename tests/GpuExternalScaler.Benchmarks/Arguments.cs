using System.Globalization;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.Benchmarks;

/// <summary>What comes behind the name of a benchmark: <c>--key value</c>.</summary>
internal sealed class Arguments(IReadOnlyList<string> arguments)
{
    /// <summary>Where figures go.</summary>
    public string Folder => Text("out", Path.Combine(Repository.Root, "artifacts", "bench"));

    public IEnumerable<string> All(string key) =>
        Enumerable.Range(0, arguments.Count - 1 < 0 ? 0 : arguments.Count - 1).Where(i => arguments[i] == "--" + key).Select(i => arguments[i + 1]);

    public string Text(string key, string otherwise) => All(key).LastOrDefault() ?? otherwise;

    public int Number(string key, int otherwise) => All(key).LastOrDefault() is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
}
