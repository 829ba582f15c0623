namespace GpuExternalScaler.Sources.Tests;

public class HostAndPortTests
{
    [Theory]
    [InlineData("rabbitmq-nodes.mq.svc:15692", "rabbitmq-nodes.mq.svc", 15692)]
    [InlineData("10.0.0.1:1", "10.0.0.1", 1)]
    [InlineData("[::1]:65535", "::1", 65535)]
    public void Reads_host_and_port(string text, string host, int port)
    {
        HostAndPort.TryParse(text, out var value).Should().BeTrue();
        value.Should().Be(new HostAndPort(host, port));
        value.ToString().Should().Be(text);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("host")]
    [InlineData(":80")]
    [InlineData("host:0")]
    [InlineData("host:65536")]
    [InlineData("host:+80")]
    [InlineData("::1:80")]
    [InlineData("http://host:80")]
    [InlineData("user@host:80")]
    [InlineData("ho st:80")]
    public void Refuses_anything_else(string? text) => HostAndPort.TryParse(text, out _).Should().BeFalse();
}
