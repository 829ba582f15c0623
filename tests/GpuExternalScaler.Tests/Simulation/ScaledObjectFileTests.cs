using GpuExternalScaler.Simulation;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Tests.Simulation;

public class ScaledObjectFileTests
{
    [Fact]
    public void All_that_is_given_is_taken_and_the_rest_ignored() => Read("""
        apiVersion: keda.sh/v1alpha1
        kind: ScaledObject
        metadata: { name: image, annotations: { whatever: "1" } }
        spec:
          scaleTargetRef: { name: image }
          minReplicaCount: 2
          maxReplicaCount: 40
          idleReplicaCount: 0
          pollingInterval: 15
          cooldownPeriod: 120
          fallback: { failureThreshold: 3, replicas: 6, behavior: currentReplicasIfHigher }
          advanced:
            restoreToOriginalReplicaCount: true
            horizontalPodAutoscalerConfig:
              name: of-my-own
              behavior:
                scaleUp:
                  stabilizationWindowSeconds: 30
                  selectPolicy: Min
                  tolerance: 0.05
                  policies:
                    - { type: Pods, value: 8, periodSeconds: 60 }
                    - type: Percent
                      value: 50
                      periodSeconds: 30
                scaleDown:
                  stabilizationWindowSeconds: 60
                  selectPolicy: Disabled
                  tolerance: 50m
                  policies: [{ type: Pods, value: 1, periodSeconds: 1800 }]
          triggers:
            - type: external-push
              metadata: { queue: image }
        """).Should().BeEquivalentTo(new ScaledObjectSpec
    {
        IdleReplicas = 0,
        PollingSeconds = 15,
        CooldownSeconds = 120,
        Autoscaler = new AutoscalerSpec
        {
            MinReplicas = 2,
            MaxReplicas = 40,
            ScaleUp = new ScalingRules
            {
                StabilizationWindowSeconds = 30,
                Select = PolicySelect.Min,
                Tolerance = 0.05,
                Policies = [new ScalingLimit(PolicyType.Pods, 8, 60), new ScalingLimit(PolicyType.Percent, 50, 30)],
            },
            ScaleDown = new ScalingRules
            {
                StabilizationWindowSeconds = 60,
                Select = PolicySelect.Disabled,
                Tolerance = 0.05,
                Policies = [new ScalingLimit(PolicyType.Pods, 1, 1800)],
            },
        },
    });

    [Theory]
    [InlineData("spec: {}")]
    [InlineData("spec: { triggers: [] }")]
    [InlineData("{ kind: ScaledObject, spec: { minReplicaCount: 0, advanced: } }")]
    [InlineData("{ kind: ScaledObject, spec: { minReplicaCount: ~, idleReplicaCount: ~, advanced: { horizontalPodAutoscalerConfig: { behavior: } } } }")]
    [InlineData("spec: { advanced: { horizontalPodAutoscalerConfig: { name: x } } }")]
    [InlineData("spec: { minReplicaCount: 0, idleReplicaCount: 0 }")]
    [InlineData("behavior:")]
    public void Left_out_it_is_what_KEDA_takes_without_any_behaviour(string yaml) =>
        Read(yaml).Should().BeEquivalentTo(new ScaledObjectSpec { Autoscaler = new AutoscalerSpec { HasBehavior = false } });

    [Theory]
    [InlineData("behavior: {}")]
    [InlineData("behavior: { scaleUp: {}, scaleDown: }")]
    [InlineData("behavior: { scaleUp: { policies: , selectPolicy: Max } }")]
    [InlineData("spec: { advanced: { horizontalPodAutoscalerConfig: { behavior: {} } } }")]
    [InlineData("behavior: { scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: Percent, value: 100, periodSeconds: 15 }] } }")]
    [InlineData("behavior: { scaleUp: { stabilizationWindowSeconds: 0, policies: [{ type: Pods, value: 4, periodSeconds: 15 }, { type: Percent, value: 100, periodSeconds: 15 }] } }")]
    public void A_behaviour_without_fields_has_those_of_Kubernetes(string yaml) => Read(yaml).Should().BeEquivalentTo(new ScaledObjectSpec());

    [Fact]
    public void A_direction_given_in_part_keeps_the_other_defaults()
    {
        var spec = Read("behavior: { scaleDown: { stabilizationWindowSeconds: 60 }, scaleUp: { policies: [{ type: Pods, value: 2, periodSeconds: 90 }] } }").Autoscaler;

        spec.ScaleDown.Should().BeEquivalentTo(ScalingRules.DefaultDown with { StabilizationWindowSeconds = 60 });
        spec.ScaleUp.Should().BeEquivalentTo(ScalingRules.DefaultUp with { Policies = [new ScalingLimit(PolicyType.Pods, 2, 90)] });
        spec.HasBehavior.Should().BeTrue();
    }

    [Theory]
    [InlineData("spec: { minReplicaCount: 3 }", 3, null)] // never below
    [InlineData("spec: { minReplicaCount: 3, idleReplicaCount: 0 }", 3, 0)]
    [InlineData("spec: { minReplicaCount: 3, idleReplicaCount: 2 }", 3, 2)]
    [InlineData("spec: { minReplicaCount: 0 }", 1, 0)]
    [InlineData("spec: {}", 1, 0)]
    public void Replicas_while_nothing_is_to_be_done(string yaml, int minimum, int? idle)
    {
        var spec = Read(yaml);
        (spec.Autoscaler.MinReplicas, spec.IdleReplicas).Should().Be((minimum, idle));
    }

    [Theory]
    [InlineData("spec:\n  minReplicaCount: -1", "x.yaml: line 2, column 20: spec.minReplicaCount: must be a whole number from 0 to *")]
    [InlineData("spec:\n  maxReplicaCount: 0", "x.yaml: line 2, column 20: spec.maxReplicaCount: must be a whole number from 1 to *")]
    [InlineData("spec:\n  maxReplicaCount: many", "x.yaml: line 2, *: spec.maxReplicaCount: must be a whole number *")]
    [InlineData("spec:\n  maxReplicaCount: [1]", "*: spec.maxReplicaCount: must be a single value")]
    [InlineData("spec:\n  pollingInterval: 30s", "*: spec.pollingInterval: must be a whole number from 1 to *")]
    [InlineData("spec:\n  cooldownPeriod: 1.5", "*: spec.cooldownPeriod: must be a whole number from 0 to *")]
    [InlineData("spec:\n  minReplicaCount: 5\n  maxReplicaCount: 4", "x.yaml: line 3, column 20: spec.maxReplicaCount: maxReplicaCount must be no less than minReplicaCount")]
    [InlineData("spec:\n  minReplicaCount: 500", "x.yaml: line 2, *: spec.minReplicaCount: maxReplicaCount must be no less than minReplicaCount")]
    [InlineData("spec:\n  minReplicaCount: 2\n  idleReplicaCount: 2", "x.yaml: line 3, *: spec.idleReplicaCount: idleReplicaCount must be less than minReplicaCount")]
    [InlineData("spec:\n  idleReplicaCount: 0", "x.yaml: line 2, *: spec.idleReplicaCount: idleReplicaCount must be less than minReplicaCount")]
    [InlineData("spec: [1]", "*: spec: must be a section of keys")]
    [InlineData("spec: { advanced: on }", "*: spec.advanced: must be a section of keys")]
    [InlineData("behavior: none", "*: behavior: must be a section of keys")]
    [InlineData("behavior:\n  scaleup: {}", "x.yaml: line 2, column 3: behavior.scaleup: unknown key; did you mean scaleUp?")]
    [InlineData("behavior:\n  scaleUp: { stabilisationWindowSeconds: 3 }", "*: behavior.scaleUp.stabilisationWindowSeconds: unknown key; did you mean stabilizationWindowSeconds?")]
    [InlineData("behavior:\n  scaleUp:\n    stabilizationWindowSeconds: 3601", "x.yaml: line 3, *: behavior.scaleUp.stabilizationWindowSeconds: must be a whole number from 0 to 3600")]
    [InlineData("behavior:\n  scaleUp:\n    selectPolicy: max", "*: behavior.scaleUp.selectPolicy: must be one of Max, Min, Disabled")]
    [InlineData("behavior:\n  scaleUp:\n    selectPolicy: 1", "*: behavior.scaleUp.selectPolicy: must be one of Max, Min, Disabled")]
    [InlineData("behavior:\n  scaleUp:\n    tolerance: -0.1", "*: behavior.scaleUp.tolerance: must be a number such as 0.05 or 50m, 0 or more")]
    [InlineData("behavior:\n  scaleUp:\n    policies: []", "x.yaml: line 3, *: behavior.scaleUp.policies: must be a list of at least one policy")]
    [InlineData("behavior:\n  scaleUp:\n    policies: { type: Pods }", "*: behavior.scaleUp.policies: must be a list of at least one policy")]
    [InlineData("behavior:\n  scaleUp:\n    policies: [4]", "*: behavior.scaleUp.policies[0]: must have a type, a value and periodSeconds")]
    [InlineData("behavior:\n  scaleDown:\n    policies:\n    - { type: Pods, value: 1, periodSeconds: 15 }\n    - { type: Percent, value: 0, periodSeconds: 15 }", "x.yaml: line 5, *: behavior.scaleDown.policies[1].value: must be a whole number from 1 to *")]
    [InlineData("behavior:\n  scaleDown:\n    policies:\n    - { type: pods, value: 1, periodSeconds: 15 }", "*.policies[0].type: must be one of Pods, Percent")]
    [InlineData("behavior:\n  scaleDown:\n    policies:\n    - { type: Pods, value: 1, periodSeconds: 1801 }", "*.policies[0].periodSeconds: must be a whole number from 1 to 1800")]
    [InlineData("behavior:\n  scaleDown:\n    policies:\n    - { type: Pods, value: 1 }", "x.yaml: line 4, column 7: behavior.scaleDown.policies[0].periodSeconds: is required")]
    [InlineData("behavior:\n  scaleDown:\n    policies:\n    - { type: Pods, value: 1, period: 3, periodSeconds: 15 }", "*.policies[0].period: unknown key; did you mean periodSeconds?")]
    [InlineData("kind: Deployment\nspec: {}", "x.yaml: line 1, column 7: kind: must be ScaledObject")]
    [InlineData("kind: ScaledObject\nbehavior: {}", "x.yaml: line 1, column 1: must be a ScaledObject with a spec, or a behavior by itself")]
    [InlineData("scaleUp: {}", "*must be a ScaledObject with a spec, or a behavior by itself")]
    [InlineData("", "*must be a ScaledObject with a spec, or a behavior by itself")]
    [InlineData("a: [", "x.yaml: line *: not valid YAML*")]
    [InlineData("spec: {}\n---\nspec: {}", "*must be one YAML document*")]
    [InlineData("spec:\n  maxReplicaCount: 3\n  maxReplicaCount: 4", "x.yaml: line 3, column 3: spec.maxReplicaCount: given twice*")]
    public void What_is_wrong_is_told_with_its_place(string yaml, string message) =>
        FluentActions.Invoking(() => Read(yaml)).Should().Throw<InvalidDataException>().WithMessage(message);

    [Fact]
    public void All_that_is_wrong_is_told_at_once_in_order()
    {
        var yaml = "spec:\n  cooldownPeriod: x\n  maxReplicaCount: y\n  advanced:\n    horizontalPodAutoscalerConfig:\n      behavior:\n        scaleUp: { policies: [{ type: Pods }] }";
        var message = FluentActions.Invoking(() => Read(yaml)).Should().Throw<InvalidDataException>().Which.Message;

        message.Split('\n').Select(static line => line.Split(": ")[2]).Should().Equal(
            "spec.cooldownPeriod",
            "spec.maxReplicaCount",
            "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policies[0].value",
            "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policies[0].periodSeconds");
    }

    [Fact]
    public void The_sample_can_be_read()
    {
        var spec = ScaledObjectFile.Read(Path.Combine(Repository.Root, "samples", "quickstart", "scaledobject.yaml"));

        spec.PollingSeconds.Should().Be(15);
        FluentActions.Invoking(static () => ScaledObjectFile.Read(Path.Combine(Repository.Root, "no-such.yaml"))).Should().Throw<IOException>();
    }

    private static ScaledObjectSpec Read(string yaml) => ScaledObjectFile.Parse(new StringReader(yaml), "x.yaml");
}
