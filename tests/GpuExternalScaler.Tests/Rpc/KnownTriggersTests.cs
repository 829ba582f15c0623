using GpuExternalScaler.Rpc;
using GpuExternalScaler.Rpc.Protocol;

namespace GpuExternalScaler.Tests.Rpc;

public sealed class KnownTriggersTests
{
    private readonly KnownTriggers _known = new(3);

    [Fact]
    public void A_request_is_recognised_in_whatever_order_its_keys_come()
    {
        var trigger = Keep(Request("a", ("queue", "images"), ("coldStart", "90s"), ("caCert", "x")));

        _known.TryFind(Request("a", ("caCert", "x"), ("coldStart", "90s"), ("queue", "images")), out var found).Should().BeTrue();
        found.Should().BeSameAs(trigger);
    }

    [Theory]
    [InlineData("b", "queue", "images", "coldStart", "90s")] // another name
    [InlineData("a", "queue", "images", "coldStart", "91s")] // another value
    [InlineData("a", "queue", "images", "holdAfterRecovery", "90s")] // another key
    [InlineData("a", "queue", "90s", "coldStart", "images")] // values changed about
    [InlineData("a", "queue", "images", "queue", "images")] // a key less
    public void Any_difference_is_another_request(string name, string key1, string value1, string key2, string value2)
    {
        Keep(Request("a", ("queue", "images"), ("coldStart", "90s")));

        _known.TryFind(Request(name, (key1, value1), (key2, value2)), out _).Should().BeFalse();
    }

    [Fact]
    public void Another_namespace_is_another_request()
    {
        Keep(Request("a", ("queue", "images")));
        var request = Request("a", ("queue", "images"));
        request.Namespace = "elsewhere";

        _known.TryFind(request, out _).Should().BeFalse();
    }

    [Fact]
    public void What_no_honest_trigger_looks_like_is_not_kept()
    {
        var large = Request("large", ("queue", "images"), ("x", new string('x', 4000)));
        var many = Request("many", [("queue", "images"), .. Enumerable.Range(0, 40).Select(i => ($"k{i}", "v"))]);
        Keep(large);
        Keep(many);

        _known.TryFind(large, out _).Should().BeFalse();
        _known.TryFind(many, out _).Should().BeFalse();
    }

    [Fact]
    public void No_more_are_kept_than_there_may_be_workloads()
    {
        var requests = Enumerable.Range(0, 100).Select(i => Request($"w{i}", ("queue", "images"))).ToList();
        requests.ForEach(request => Keep(request));

        requests.Count(request => _known.TryFind(request, out _)).Should().BeInRange(1, 3);
        _known.TryFind(requests[^1], out _).Should().BeTrue("forgetting all makes room");
    }

    private static ScaledObjectRef Request(string name, params (string Key, string Value)[] metadata)
    {
        var request = new ScaledObjectRef { Namespace = "genai", Name = name };
        foreach (var (key, value) in metadata)
        {
            request.ScalerMetadata[key] = value;
        }

        return request;
    }

    private TriggerMetadata Keep(ScaledObjectRef request)
    {
        var trigger = TriggerMetadata.Parse(request.Namespace, request.Name, request.ScalerMetadata, out _)!;
        _known.Keep(request, trigger);
        return trigger;
    }
}
