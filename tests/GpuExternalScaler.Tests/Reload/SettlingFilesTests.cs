using GpuExternalScaler.Reload;

namespace GpuExternalScaler.Tests.Reload;

public sealed class SettlingFilesTests : IDisposable
{
    private const long Largest = 1 << 20;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("settling");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task A_change_is_told_once_when_two_looks_have_found_the_same()
    {
        var path = Write("a", "one");
        var files = await FollowAsync(path);
        (await files.LookAsync(default)).Should().BeNull("nothing has changed");

        Write("a", "two");
        (await files.LookAsync(default)).Should().BeNull("it may still be written");
        (await files.LookAsync(default)).Should().ContainSingle().Which.Text.Should().Be("two");
        (await files.LookAsync(default)).Should().BeNull("it has been told");
    }

    [Fact]
    public async Task A_file_that_is_being_written_is_not_told_before_it_is_whole()
    {
        var path = Write("a", "one");
        var files = await FollowAsync(path);

        foreach (var part in new[] { "", "t", "tw" })
        {
            Write("a", part);
            (await files.LookAsync(default)).Should().BeNull();
        }

        Write("a", "two");
        await files.LookAsync(default);
        (await files.LookAsync(default))!.Single().Text.Should().Be("two");
    }

    [Fact]
    public async Task What_changes_back_before_it_has_settled_was_no_change()
    {
        var path = Write("a", "one");
        var files = await FollowAsync(path);

        Write("a", "two");
        await files.LookAsync(default);
        Write("a", "one");
        await files.LookAsync(default);
        (await files.LookAsync(default)).Should().BeNull();
    }

    [Fact]
    public async Task Files_that_belong_together_settle_together()
    {
        string[] paths = [Write("cert", "old"), Write("key", "old")];
        var files = await FollowAsync(paths);

        Write("cert", "new");
        await files.LookAsync(default);
        Write("key", "new");
        (await files.LookAsync(default)).Should().BeNull("one of them has changed since the last look");
        (await files.LookAsync(default))!.Select(static file => file.Text).Should().Equal("new", "new");
    }

    [Fact]
    public async Task A_link_that_is_swapped_as_Kubernetes_does_is_followed_each_time()
    {
        var mount = new MountedFolder(_folder.FullName);
        mount.Swap(("scaler.yaml", "version 0"));
        var files = await FollowAsync(Path.Combine(_folder.FullName, "scaler.yaml"));

        for (var version = 1; version <= 200; version++)
        {
            mount.Swap(("scaler.yaml", $"version {version}"));
            await files.LookAsync(default);
            (await files.LookAsync(default))!.Single().Text.Should().Be($"version {version}");
        }
    }

    [Fact]
    public async Task A_file_that_goes_and_comes_back_is_told_both_times()
    {
        var path = Write("a", "one");
        var files = await FollowAsync(path);

        File.Delete(path);
        await files.LookAsync(default);
        (await files.LookAsync(default))!.Single().Problem.Should().Be("no such file");

        Write("a", "one");
        await files.LookAsync(default);
        (await files.LookAsync(default))!.Single().Text.Should().Be("one");
    }

    [Fact]
    public async Task What_cannot_be_read_is_a_problem_and_no_exception()
    {
        (await FileContent.ReadAsync(_folder.FullName, Largest, default)).Problem.Should().Be("a folder, or not readable by this user");
        (await FileContent.ReadAsync(Path.Combine(_folder.FullName, "none", "none"), Largest, default)).Problem.Should().Be("no such file");
        (await FileContent.ReadAsync(Write("large", new string('x', (int)Largest + 1)), Largest, default)).Problem.Should().Be("larger than 1024 KiB");
        (await FileContent.ReadAsync(Write("fits", new string('x', (int)Largest)), Largest, default)).Bytes.Length.Should().Be((int)Largest);
    }

    private static async Task<SettlingFiles> FollowAsync(params string[] paths) =>
        new(paths, Largest, await SettlingFiles.ReadAsync(paths, Largest, default));

    private string Write(string name, string text)
    {
        var path = Path.Combine(_folder.FullName, name);
        File.WriteAllText(path, text);
        return path;
    }
}
