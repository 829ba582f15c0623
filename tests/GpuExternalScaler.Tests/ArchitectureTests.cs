using System.Reflection;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Tests;

/// <summary>Rules that the compiler does not check.</summary>
public class ArchitectureTests
{
    [Fact]
    public void Scaling_is_the_BCL_alone()
    {
        References(typeof(DecisionFold)).Should().OnlyContain(static name => name.StartsWith("System", StringComparison.Ordinal));
    }

    [Fact]
    public void Sources_know_neither_a_server_nor_a_logger()
    {
        References(typeof(RabbitMqSource)).Should().NotContain(static name =>
            name.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) || name.StartsWith("Microsoft.Extensions.Logging", StringComparison.Ordinal));
    }

    [Fact]
    public void Proto_types_stay_with_the_service_and_the_demo_that_calls_it()
    {
        Sources("using GpuExternalScaler.Rpc.Protocol").Should().OnlyContain(static file =>
            file.StartsWith("Rpc/", StringComparison.Ordinal) || file.StartsWith("Demo/", StringComparison.Ordinal));
    }

    [Fact]
    public void The_service_knows_no_kind_of_source()
    {
        Sources("GpuExternalScaler.Sources.RabbitMq").Should().NotContain(static file => file.StartsWith("Rpc/", StringComparison.Ordinal));
    }

    [Fact]
    public void Only_the_evaluation_loop_steps()
    {
        Sources("DecisionFold.Step(").Should().Equal("Evaluation/EvaluationLoop.cs");
    }

    [Theory]
    [InlineData("Utils")]
    [InlineData("Common")]
    [InlineData("Helper")]
    [InlineData("Telemetry")]
    [InlineData("Core")]
    public void Nothing_of_ours_is_called(string vague)
    {
        var types = new[] { typeof(DecisionFold), typeof(RabbitMqSource), typeof(ScalerOptions) }
            .SelectMany(static type => type.Assembly.GetTypes())
            .Where(static type => type.Namespace?.StartsWith("GpuExternalScaler", StringComparison.Ordinal) ?? false)
            .SelectMany(static type => type.FullName!.Split('.', '+'));

        types.Should().NotContain(part => part.EndsWith(vague, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_policy_key_is_documented()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "trigger-metadata.md"));

        PolicyKeys.All.Keys.Concat(TriggerKeys.Identity.Select(static key => key.Name)).Should().OnlyContain(key => page.Contains($"| `{key}` |", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_key_of_the_file_is_documented()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "configuration.md"));

        string[] paths =
        [
            .. FileKeys.Server.Select(static key => key.Path),
            .. FileKeys.RabbitMq.Select(static key => "rabbitmq.<name>." + key.Path),
            .. FileKeys.Prometheus.Select(static key => "prometheus.<name>." + key.Path),
            .. FileKeys.Gpu.Select(static key => "gpu.<name>." + key.Path),
            .. FileKeys.ModelServers.Select(static key => "modelServers.<name>." + key.Path),
        ];
        paths.Should().OnlyContain(path => page.Contains($"| `{path}` |", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("docs/configuration.md")]
    [InlineData("docs/gpu.md")]
    [InlineData("docs/model-servers.md")]
    [InlineData("docs/operations.md")]
    [InlineData("README.md")]
    [InlineData("samples/quickstart/scaler.yaml")]
    public void Every_configuration_shown_can_be_loaded(string file)
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, file));
        var blocks = file.EndsWith(".yaml", StringComparison.Ordinal)
            ? [text]
            : text.Split("```").Where(static (_, i) => i % 2 == 1).Where(static block => block.StartsWith("yaml\n", StringComparison.Ordinal)).Select(static block => block[5..]);

        // Pages show ScaledObjects too.
        var configurations = blocks.Where(static block => !block.StartsWith("apiVersion:", StringComparison.Ordinal)).ToList();

        configurations.Should().NotBeEmpty();
        foreach (var yaml in configurations)
        {
            ConfigurationFile.Parse(yaml, out var errors).Should().NotBeNull();
            errors.Should().BeEmpty();
        }
    }

    [Fact]
    public void The_ScaledObject_in_the_README_is_the_sample()
    {
        var sample = File.ReadAllText(Path.Combine(Repository.Root, "samples", "quickstart", "scaledobject.yaml"));

        File.ReadAllText(Path.Combine(Repository.Root, "README.md")).Should().Contain(sample);
    }

    [Fact]
    public void The_built_in_defaults_are_the_documented_ones()
    {
        var policy = ScalingPolicy.Default;

        policy.SaturationThreshold.Should().Be(0.7);
        policy.ColdStart.Should().Be(TimeSpan.FromSeconds(60));
        policy.EffectiveDrainTime.Should().Be(policy.ColdStart);
        policy.HoldFor.Should().Be(TimeSpan.FromMinutes(30));
        policy.HoldAfterRecovery.Should().Be(TimeSpan.FromSeconds(300));
    }

    private static IEnumerable<string> References(Type type) =>
        type.Assembly.GetReferencedAssemblies().Select(static (AssemblyName name) => name.Name!).Where(static name => !name.StartsWith("GpuExternalScaler", StringComparison.Ordinal));

    private static IEnumerable<string> Sources(string text)
    {
        var folder = Path.Combine(Repository.Root, "src", "GpuExternalScaler");
        return Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories)
            .Select(file => (Path: Path.GetRelativePath(folder, file), Text: File.ReadAllText(file)))
            .Where(file => !file.Path.StartsWith("obj", StringComparison.Ordinal) && !file.Path.StartsWith("bin", StringComparison.Ordinal) && file.Text.Contains(text, StringComparison.Ordinal))
            .Select(static file => file.Path)
            .Order(StringComparer.Ordinal);
    }
}
