namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>
/// One broker for all tests that leave it running. Such a test has queues of its own, named by
/// <see cref="QueueName"/>, and a test that stops, kills or pauses a broker starts another with
/// <see cref="RabbitMqBroker.StartNewAsync"/>.
/// </summary>
public sealed class SharedBroker : IAsyncLifetime
{
    public RabbitMqBroker Broker { get; } = new();

    /// <summary>A queue name that no other test uses.</summary>
    public static string QueueName(string purpose) => $"{purpose}-{Guid.NewGuid():N}";

    public Task InitializeAsync() => Broker.StartAsync();

    public async Task DisposeAsync() => await Broker.DisposeAsync();
}

/// <summary>Name of the xunit collection: put <c>[Collection(BrokerTests.Name)]</c> on a test class.</summary>
[CollectionDefinition(Name)]
public sealed class BrokerTests : ICollectionFixture<SharedBroker>
{
    public const string Name = "shared broker";
}

/// <summary>A second shared broker, so that two sets of tests that mostly wait can wait side by side.</summary>
[CollectionDefinition(Name)]
public sealed class ConformanceBrokerTests : ICollectionFixture<SharedBroker>
{
    public const string Name = "conformance broker";
}
