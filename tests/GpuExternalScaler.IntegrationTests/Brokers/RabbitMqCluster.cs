using System.Text.Json;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>Three RabbitMQ 4 nodes that know each other, each with ports, folders and a process of its own.</summary>
public sealed class RabbitMqCluster : IAsyncDisposable
{
    private const int Size = 3;

    private readonly Epmd _epmd = new();

    private RabbitMqCluster(RabbitMqBrokerOptions options)
    {
        string[] names = [.. Enumerable.Range(1, Size).Select(static i => $"rabbit-{i}@127.0.0.1")];
        string[] formation =
        [
            "cluster_formation.peer_discovery_backend = classic_config",
            .. names.Select(static (name, i) => $"cluster_formation.classic_config.nodes.{i + 1} = {name}"),
        ];
        options = options with { Configuration = [.. options.Configuration, .. formation] };
        var cookie = Guid.NewGuid().ToString("N");
        Nodes = [.. names.Select(name =>
            new RabbitMqBroker(RabbitMqInstallation.Unpacked, options, new RabbitMqMembership(name, _epmd, cookie)))];
    }

    public IReadOnlyList<RabbitMqBroker> Nodes { get; }

    public static async Task<RabbitMqCluster> StartNewAsync(RabbitMqBrokerOptions? options = null)
    {
        var cluster = new RabbitMqCluster(options ?? new RabbitMqBrokerOptions());
        try
        {
            await Task.WhenAll(cluster.Nodes.Select(static node => node.StartAsync()));
            await Task.WhenAll(cluster.Nodes.Select(cluster.WaitForMembersAsync));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Where a queue of the default virtual host is: a quorum queue's leader, or a classic queue itself.</summary>
    public async Task<RabbitMqBroker> FindLeaderAsync(string queue, RabbitMqBroker? askedNode = null)
    {
        using var details = JsonDocument.Parse(await (askedNode ?? Nodes[0]).Management.GetStringAsync(
            new Uri($"api/queues/%2F/{Uri.EscapeDataString(queue)}", UriKind.Relative)));
        var name = (details.RootElement.TryGetProperty("leader", out var leader)
            ? leader
            : details.RootElement.GetProperty("node")).GetString();
        return Nodes.Single(node => node.NodeName == name);
    }

    /// <summary>Makes a node the leader of a quorum queue of the default virtual host.</summary>
    public async Task MoveLeaderAsync(string queue, RabbitMqBroker to)
    {
        // The member that leads is the only one that can hand the lead over.
        var leader = await FindLeaderAsync(queue);
        await leader.ControlAsync(
            "eval",
            $"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), rabbit_quorum_queue:transfer_leadership(Q, '{to.NodeName}').");
        await Eventually.SeesAsync(() => FindLeaderAsync(queue), found => found == to, $"{queue} to be led by {to.NodeName}");
    }

    /// <summary>Has the cluster spread the leaders of all queues evenly.</summary>
    public async Task RebalanceAsync()
    {
        using var response = await Nodes[0].Management.PostAsync(new Uri("api/rebalance/queues", UriKind.Relative), content: null);
        response.EnsureSuccessStatusCode();
    }

    /// <summary>Waits until a node sees all the others running, as after one of them was away.</summary>
    public Task WaitForMembersAsync(RabbitMqBroker node) => Eventually.SeesAsync(
        async () =>
        {
            using var list = JsonDocument.Parse(
                await node.Management.GetStringAsync(new Uri("api/nodes?columns=name,running", UriKind.Relative)));
            return list.RootElement.EnumerateArray().Count(static n => n.GetProperty("running").GetBoolean());
        },
        static running => running == Size,
        $"{Size} nodes to run, as {node.NodeName} sees it",
        TimeSpan.FromSeconds(60));

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes)
        {
            await node.DisposeAsync();
        }

        await _epmd.DisposeAsync();
    }
}
