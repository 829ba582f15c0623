using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input, with the message on stderr.</summary>
public sealed class CommandLineTests
{
    [Theory]
    [InlineData("--help")]
    [InlineData("serve", "--help")]
    [InlineData("demo", "--help")]
    [InlineData("--version")]
    public async Task Help_is_done(params string[] arguments)
    {
        var exit = await ScalerProcess.RunAsync(arguments);

        exit.Code.Should().Be(0);
        exit.Output.Should().NotBeEmpty();
    }

    [Theory]
    [InlineData("srve")]
    [InlineData("serve", "--conf", "x")]
    [InlineData("serve", "--config")]
    [InlineData("demo", "--speed", "fast")]
    [InlineData("show-config", "--url", "localhost:8080")]
    [InlineData("show-config", "--url", "http://u:s3cret@localhost:8080")]
    [InlineData("show-config", "--url", "http://localhost:8080", "--config", "x")]
    public async Task Wrong_usage_is_2(params string[] arguments)
    {
        var exit = await ScalerProcess.RunAsync(arguments);

        exit.Code.Should().Be(2);
        exit.Error.Should().NotBeEmpty();
    }

    [Fact]
    public async Task A_file_that_is_not_there_is_2()
    {
        using var folder = new TemporaryFolder("command-line");
        var exit = await ScalerProcess.RunAsync(["serve", "--config", Path.Combine(folder.Path, "none.yaml")]);

        exit.Code.Should().Be(2);
        exit.Error.Should().Contain("none.yaml").And.Contain("no such file");
    }

    [Fact]
    public async Task A_wrong_file_is_2_with_every_error_and_no_value()
    {
        using var folder = new TemporaryFolder("command-line");
        var file = folder.Write("wrong.yaml", "rabbitmq:\n  main:\n    management: { url: \"http://u:s3cret@x\", username: u }\n    intervall: 2s\n");

        // Without a command it is serve.
        var exit = await ScalerProcess.RunAsync(["--config", file]);

        exit.Code.Should().Be(2);
        exit.Error.Should().Contain("line 3").And.Contain("must not hold credentials")
            .And.Contain("passwordFile").And.Contain("did you mean interval?").And.NotContain("s3cret");
    }

    [Fact]
    public async Task A_port_that_is_taken_is_1()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        using var folder = new TemporaryFolder("command-line");
        var file = folder.Write("taken.yaml", $"listen: {{ grpc: \"{listener.LocalEndpoint}\", http: \"127.0.0.1:0\" }}\n");

        var exit = await ScalerProcess.RunAsync(["serve", "--config", file]);

        exit.Code.Should().Be(1);
        exit.Error.Should().Contain("address already in use");
    }
}
