using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Commands;
using GpuExternalScaler.Configuration;

namespace GpuExternalScaler.Tests.Configuration;

/// <summary>
/// A case is a folder below <c>Checked</c>: a file, and what <c>check-config</c> says about it, with its exit code first.
/// </summary>
public class CheckConfigTests
{
    public static TheoryData<string> Cases() => [.. Directory.EnumerateDirectories(Folder()).Select(static folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_file_gets_every_finding_at_once_and_no_value(string name)
    {
        var folder = Path.Combine(Folder(), name);

        var said = await CheckAsync(new FileInfo(Path.Combine(folder, "scaler.yaml")));

        said.Should().Be(await File.ReadAllTextAsync(Path.Combine(folder, "expected.txt")));
        said.Should().NotContain("s3cret");
    }

    [Fact]
    public async Task A_file_that_is_not_there_is_invalid_input()
    {
        var said = await CheckAsync(new FileInfo(Path.Combine(Folder(), "none", "scaler.yaml")));

        said.Should().Be("2\nscaler.yaml: cannot be read (no such file)\n");
    }

    [Fact]
    public async Task A_file_of_nothing_but_brackets_ends_in_a_finding()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, new string('[', 1_000_000));

            (await CheckAsync(new FileInfo(file))).Should().Contain("nested deeper than any key is");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void A_file_with_something_cut_out_or_put_in_is_read_to_the_end()
    {
        var whole = File.ReadAllText(Path.Combine(Folder(), "mistyped-keys", "scaler.yaml"));
        var edits = Gen.Choose(0, whole.Length).Zip(Gen.Choose(0, 30)).Zip(Gen.Elements("", "{", "}", "[", "]", "&a ", "*a", ": ", "- ", "\n", "\t", "'", "\"", "|\n", "? ", "!!x ", "%", "#", "---\n", "...\n", "\u0000"));

        Prop.ForAll(edits.ToArbitrary(), edit =>
        {
            var ((at, length), text) = edit;
            var read = () => ConfigurationFile.Read(string.Concat(whole.AsSpan(0, at), text, whole.AsSpan(Math.Min(at + length, whole.Length))), []);
            read.Should().NotThrow();
        }).QuickCheckThrowOnFailure();
    }

    private static async Task<string> CheckAsync(FileInfo file)
    {
        using var said = new StringWriter { NewLine = "\n" };
        var exit = await CheckConfigCommand.RunAsync(file, [], said, said, CancellationToken.None);
        return $"{exit}\n{said}".Replace(file.ToString(), file.Name, StringComparison.Ordinal);
    }

    private static string Folder() => Path.Combine(Repository.Root, "tests", "GpuExternalScaler.Tests", "Configuration", "Checked");
}
