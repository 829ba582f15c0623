using GpuExternalScaler.Sources.ModelServers;

namespace GpuExternalScaler.Sources.Tests.ModelServers;

public class ModelServerFleetTests
{
    private static readonly ModelServerFleet Fleet = new(
        new[] { "b/web-1", "a/web-1", "a/web", "a/we", "a/web-2", "a/wec", "B/web-1" }.Select(Pod),
        [
            new DiscoveredServer("a", "web", "y", false),
            new DiscoveredServer("a", "web", "x", true),
            new DiscoveredServer("a", "web-1", "x", false),
            new DiscoveredServer("b", "web-1", "x", true),
        ]);

    [Theory]
    [InlineData("a", "web", "web web-1 web-2")]
    [InlineData("a", "web-", "web-1 web-2")]
    [InlineData("a", "", "we web web-1 web-2 wec")]
    [InlineData("b", "web", "web-1")]
    [InlineData("B", "web", "web-1")]
    [InlineData("c", "", "")]
    [InlineData("", "", "")]
    [InlineData("a", "x", "")]
    public void Pods_are_found_by_namespace_and_prefix(string @namespace, string prefix, string pods) =>
        string.Join(' ', Fleet.PodsOf(@namespace, prefix).ToArray().Select(static pod => pod.Pod)).Should().Be(pods);

    [Theory]
    [InlineData("a", "web", Discovery.Up)]
    [InlineData("a", "web-1", Discovery.Down)]
    [InlineData("b", "web-1", Discovery.Up)]
    [InlineData("a", "web-2", Discovery.Unknown)]
    [InlineData("a", "we", Discovery.Unknown)]
    public void Discovery_knows_a_pod_by_any_of_its_servers(string @namespace, string pod, Discovery state) =>
        Fleet.StateOf(@namespace, pod).Should().Be(state);

    [Theory]
    [InlineData("web")]
    [InlineData("a-name-so-long-that-whatever-is-generated-from-it-will-have-to-be-cut-before")]
    public void A_selectors_prefix_begins_every_name_it_matches(string target)
    {
        var selector = PodSelector.ForTarget("a", target);
        var cut = $"{target}-7d4b9c6f5-"[..Math.Min(58, target.Length + 11)] + "x7k2p";

        selector.Matches("a", cut).Should().BeTrue();
        cut.Should().StartWith(selector.Prefix);
        PodSelector.ForPattern("a", "(web).*")!.Prefix.Should().BeEmpty();
    }

    private static ModelServerPod Pod(string name) => new() { Namespace = name.Split('/')[0], Pod = name.Split('/')[1] };
}
