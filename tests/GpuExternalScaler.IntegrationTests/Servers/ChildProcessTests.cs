namespace GpuExternalScaler.IntegrationTests.Servers;

public sealed class ChildProcessTests
{
    // The first sleep leaves its session and its parent, as what Erlang starts does.
    private const string Tree = "setsid sleep 600 & sleep 601 & echo started; wait";

    [Fact]
    public async Task Disposing_ends_the_whole_tree()
    {
        var child = ChildProcess.Start("/bin/sh", ["-c", Tree]);
        await Eventually.IsTrueAsync(() => child.StandardOutput.Contains("started"), "the tree to start");
        await Eventually.IsTrueAsync(() => child.FindMarked().Count == 4, "all of the tree to show");

        await child.DisposeAsync();

        child.FindMarked().Should().BeEmpty();
    }

    [Fact]
    public async Task The_death_of_the_test_host_ends_the_whole_tree_and_removes_its_folder()
    {
        using var folder = new TemporaryFolder("child");
        await using var child = ChildProcess.Start("/bin/sh", ["-c", Tree], folder: folder.Path);
        await Eventually.IsTrueAsync(() => child.StandardOutput.Contains("started"), "the tree to start");

        child.CloseLifeline();

        await Eventually.IsTrueAsync(() => child.FindMarked().Count == 0, "the watcher to end the tree");
        Directory.Exists(folder.Path).Should().BeFalse();
    }

    [Fact]
    public async Task The_id_is_the_programs_own()
    {
        await using var child = ChildProcess.Start("/bin/sleep", ["600"]);
        await Eventually.IsTrueAsync(() => File.ReadAllText($"/proc/{child.Id}/comm").Trim() == "sleep", "sleep to run");

        child.ResidentBytes.Should().BePositive();
        child.Signal(ProcessSignal.Terminate);

        (await child.WaitForExitAsync(TimeSpan.FromSeconds(5))).Should().Be(128 + (int)ProcessSignal.Terminate);
    }

    [Fact]
    public async Task Output_environment_and_exit_code_are_kept()
    {
        await using var child = ChildProcess.Start(
            "/bin/sh",
            ["-c", "echo \"$ONE-${HOME-none}\"; echo two >&2; exit 3"],
            new Dictionary<string, string?> { ["ONE"] = "1", ["HOME"] = null });

        (await child.WaitForExitAsync(TimeSpan.FromSeconds(5))).Should().Be(3);
        await child.DrainAsync();

        child.StandardOutput.Should().Equal("1-none");
        child.StandardError.Should().Equal("two");
    }
}
