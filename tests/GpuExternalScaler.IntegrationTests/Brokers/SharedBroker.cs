namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>
/// One broker for all tests that leave it running. Such a test has queues of its own, named by
/// <see cref="QueueName"/>, and a test that stops, kills or pauses a broker starts another with
/// <see cref="RabbitMqBroker.StartNewAsync"/>.
/// </summary>
public abstract class SharedBroker(RabbitMqInstallation installation) : IAsyncLifetime
{
    public RabbitMqBroker Broker { get; } = new(installation);

    /// <summary>A queue name that no other test uses.</summary>
    public static string QueueName(string purpose) => $"{purpose}-{Guid.NewGuid():N}";

    public Task InitializeAsync() => Broker.StartAsync();

    public async Task DisposeAsync() => await Broker.DisposeAsync();
}

/// <summary>RabbitMQ 3.10.</summary>
public sealed class SharedBroker3() : SharedBroker(RabbitMqInstallation.Packaged);

/// <summary>RabbitMQ 4.x. Tests that use it carry the trait <see cref="RabbitMq4"/>.</summary>
public sealed class SharedBroker4() : SharedBroker(RabbitMqInstallation.Unpacked);

/// <summary>
/// The trait of tests that need RabbitMQ 4.x: <c>tests/run --rabbitmq4 off</c> leaves them out. Put
/// <c>[Trait(RabbitMq4.Trait, RabbitMq4.Value)]</c> on the class.
/// </summary>
public static class RabbitMq4
{
    public const string Trait = "RabbitMq";
    public const string Value = "4";
}

/// <summary>Name of the xunit collection: put <c>[Collection(BrokerTests.Name)]</c> on a test class.</summary>
[CollectionDefinition(Name)]
public sealed class BrokerTests : ICollectionFixture<SharedBroker3>
{
    public const string Name = "shared broker";
}

/// <summary>The same on RabbitMQ 4.x.</summary>
[CollectionDefinition(Name)]
public sealed class BrokerTests4 : ICollectionFixture<SharedBroker4>
{
    public const string Name = "shared broker, RabbitMQ 4";
}

/// <summary>A second shared broker, so that two sets of tests that mostly wait can wait side by side.</summary>
[CollectionDefinition(Name)]
public sealed class ConformanceBrokerTests : ICollectionFixture<SharedBroker3>
{
    public const string Name = "conformance broker";
}
