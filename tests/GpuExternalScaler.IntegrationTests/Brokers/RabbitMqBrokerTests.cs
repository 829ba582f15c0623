using System.Text.Json;
using GpuExternalScaler.IntegrationTests.Servers;
using RabbitMQ.Client.Exceptions;

namespace GpuExternalScaler.IntegrationTests.Brokers;

[Collection(BrokerTests.Name)]
public sealed class RabbitMqBroker3Tests(SharedBroker3 shared) : RabbitMqBrokerTests(shared);

[Collection(BrokerTests4.Name)]
[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class RabbitMqBroker4Tests(SharedBroker4 shared) : RabbitMqBrokerTests(shared);

public abstract class RabbitMqBrokerTests(SharedBroker shared)
{
    private readonly RabbitMqBroker _broker = shared.Broker;

    [Theory]
    [InlineData(QueueKind.Classic)]
    [InlineData(QueueKind.Quorum)]
    public async Task Held_messages_show_as_unacked_until_they_are_acked(QueueKind kind)
    {
        var queue = SharedBroker.QueueName("held");
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        await driver.DeclareQueueAsync(queue, kind);
        await driver.PublishAsync(queue, 7);
        await driver.WaitForGaugesAsync(queue, ready: 7, unacked: 0, consumers: 0);

        await using var workers = await driver.StartWorkersAsync(queue, 10, WorkStyle.Hold);
        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 7, consumers: 10);

        (await workers.AckAsync(3)).Should().Be(3);
        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 4, consumers: 10);

        await workers.StopAsync();
        await driver.WaitForGaugesAsync(queue, ready: 4, unacked: 0, consumers: 0);
    }

    [Fact]
    public async Task Cancelled_consumers_keep_their_messages()
    {
        var queue = SharedBroker.QueueName("cancelled");
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        await driver.DeclareQueueAsync(queue);
        await driver.PublishAsync(queue, 2);
        await using var workers = await driver.StartWorkersAsync(queue, 2, WorkStyle.Hold);
        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 2, consumers: 2);

        await workers.CancelAsync();

        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 2, consumers: 0);
    }

    [Fact]
    public async Task Serial_workers_take_a_message_at_a_time_whatever_their_prefetch()
    {
        var queue = SharedBroker.QueueName("serial");
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        await driver.DeclareQueueAsync(queue);
        await driver.PublishAsync(queue, 20);
        var start = TimeProvider.System.GetTimestamp();

        await using var workers = await driver.StartWorkersAsync(
            queue, 2, WorkStyle.Serial(TimeSpan.FromMilliseconds(100)), prefetch: 10);
        await Eventually.IsTrueAsync(() => workers.Completed == 20, "20 messages to be done");

        // Ten each, one after the other.
        TimeProvider.System.GetElapsedTime(start).Should().BeGreaterThan(TimeSpan.FromSeconds(1));
        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 0, consumers: 2);
    }

    [Fact]
    public async Task Auto_ack_leaves_nothing_unacked()
    {
        var queue = SharedBroker.QueueName("auto");
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        await driver.DeclareQueueAsync(queue);
        await driver.PublishAsync(queue, 5);

        await using var workers = await driver.StartWorkersAsync(queue, 1, WorkStyle.AutoAck, prefetch: 0);

        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 0, consumers: 1);
        workers.Completed.Should().Be(5);
    }

    [Fact]
    public async Task Names_may_hold_any_character()
    {
        var vhost = $"team/a b+c%2F\"é\" {Guid.NewGuid():N}";
        const string Queue = "jobs /%2F+ \\\"ö\" 中";
        await _broker.DeclareVhostAsync(vhost);
        await using var driver = await QueueDriver.ConnectAsync(_broker, vhost);
        await driver.DeclareQueueAsync(Queue, QueueKind.Quorum);
        await driver.PublishAsync(Queue, 3);

        await driver.WaitForGaugesAsync(Queue, ready: 3, unacked: 0, consumers: 0);
    }

    [Fact]
    public async Task Stream_queues_can_be_declared()
    {
        var queue = SharedBroker.QueueName("stream");
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        await driver.DeclareQueueAsync(queue, QueueKind.Stream);

        (await ListQueuesAsync(_broker)).Should().ContainKey(queue).WhoseValue.Should().Be("stream");
    }

    [Fact]
    public async Task The_least_privileged_user_lists_queues_and_may_do_no_more()
    {
        var queue = SharedBroker.QueueName("listed");
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        await driver.DeclareQueueAsync(queue);

        (await ListQueuesAsync(_broker)).Should().ContainKey(queue).WhoseValue.Should().Be("classic");

        var factory = _broker.CreateConnectionFactory();
        factory.UserName = RabbitMqBroker.ScalerUser;
        factory.Password = RabbitMqBroker.ScalerPassword;
        await using var connection = await factory.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        var declare = async () => await channel.QueueDeclareAsync("forbidden", false, false, false, null, passive: false);
        (await declare.Should().ThrowAsync<OperationInterruptedException>()).Which.ShutdownReason!.ReplyCode.Should().Be(403);
    }

    private static async Task<Dictionary<string, string>> ListQueuesAsync(RabbitMqBroker broker)
    {
        using var list = JsonDocument.Parse(
            await broker.ManagementAsScaler.GetStringAsync(new Uri("api/queues/%2F", UriKind.Relative)));
        return list.RootElement.EnumerateArray().ToDictionary(
            queue => queue.GetProperty("name").GetString()!, queue => queue.GetProperty("type").GetString()!);
    }
}

public sealed class RabbitMqBroker3LifeTests() : RabbitMqBrokerLifeTests(RabbitMqInstallation.Packaged);

[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class RabbitMqBroker4LifeTests() : RabbitMqBrokerLifeTests(RabbitMqInstallation.Unpacked);

public abstract class RabbitMqBrokerLifeTests(RabbitMqInstallation installation)
{
    [Fact]
    public async Task A_broker_that_is_killed_comes_back_on_its_ports_with_its_messages_and_leaves_nothing_behind()
    {
        var broker = await RabbitMqBroker.StartNewAsync(installation);
        var folder = Path.GetDirectoryName(broker.ScalerPasswordFile)!;
        try
        {
            var first = broker.ProcessId;
            await using (var driver = await QueueDriver.ConnectAsync(broker))
            {
                await driver.DeclareQueueAsync("kept", QueueKind.Quorum);
                await driver.PublishAsync("kept", 4);
                await driver.WaitForGaugesAsync("kept", ready: 4);
                await broker.KillAsync();
            }

            broker.IsRunning.Should().BeFalse();
            var refused = async () => await broker.Metrics.GetStringAsync(new Uri("metrics", UriKind.Relative));
            await refused.Should().ThrowAsync<HttpRequestException>();

            await broker.RestartAsync();
            broker.ProcessId.Should().NotBe(first);
            await using (var driver = await QueueDriver.ConnectAsync(broker))
            {
                await driver.WaitForGaugesAsync("kept", ready: 4, unacked: 0, consumers: 0);
            }

            broker.Pause();
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1), TimeProvider.System);
            var hung = async () => await broker.Metrics.GetStringAsync(new Uri("metrics", UriKind.Relative), limit.Token);
            await hung.Should().ThrowAsync<OperationCanceledException>();
            broker.Resume();
            await broker.Metrics.GetStringAsync(new Uri("metrics", UriKind.Relative));

            await broker.StopAsync();
            broker.IsRunning.Should().BeFalse();
        }
        finally
        {
            await broker.DisposeAsync();
        }

        Directory.Exists(folder).Should().BeFalse();
        var connect = async () =>
        {
            using var client = new HttpClient();
            await client.GetStringAsync(broker.MetricsUri);
        };
        await connect.Should().ThrowAsync<HttpRequestException>();
    }

    [Fact]
    public async Task A_start_that_fails_says_why_and_leaves_nothing_behind()
    {
        var before = Directory.GetDirectories(Path.GetTempPath(), "gpu-scaler-broker-*");
        var start = async () => await RabbitMqBroker.StartNewAsync(
            installation, new RabbitMqBrokerOptions { Configuration = ["no.such.setting = 1"] });

        (await start.Should().ThrowAsync<InvalidOperationException>()).WithMessage("*no.such.setting*");

        Directory.GetDirectories(Path.GetTempPath(), "gpu-scaler-broker-*").Except(before).Should().NotContain(
            folder => File.Exists(Path.Combine(folder, "rabbitmq.conf"))
                && File.ReadAllText(Path.Combine(folder, "rabbitmq.conf")).Contains("no.such.setting"));
    }
}
