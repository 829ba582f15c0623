using GpuExternalScaler.Simulation.Reports;
using GpuExternalScaler.Simulation.Rules;
using GpuExternalScaler.Simulation.Traces;
using Spectre.Console;

namespace GpuExternalScaler.Simulation;

/// <summary>Runs the same setup under several policies, as many at once as there are processors.</summary>
internal static class SimulationRun
{
    // Simulated seconds, of all policies together, below which nobody waits long enough to want to see how far it is.
    private const long Short = 200_000;

    /// <summary>Runs them.</summary>
    /// <param name="setup">What is simulated.</param>
    /// <param name="policies">The policies and a rule of each.</param>
    /// <param name="keepSeconds">Whether every second is kept.</param>
    /// <param name="screen">Where to show how far it is; null: nowhere.</param>
    /// <param name="cancellation">Ends the runs early.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static async Task<IReadOnlyList<PolicyOutcome>> RunAsync(
        SimulationSetup setup, IReadOnlyList<(PolicyChoice Policy, IScalingRule Rule)> policies, bool keepSeconds, IAnsiConsole? screen, CancellationToken cancellation)
    {
        if (screen is null || (long)setup.Trace.PerSecond.Count * policies.Count < Short)
        {
            return await RunAllAsync(static (_, _) => null);
        }

        return await screen.Progress().AutoClear(true).StartAsync(context =>
        {
            var tasks = policies.Select(one => context.AddTask(Markup.Escape(one.Policy.Name), autoStart: true, maxValue: 1)).ToArray();
            return RunAllAsync((i, _) => new Shown(tasks[i]));
        });

        async Task<IReadOnlyList<PolicyOutcome>> RunAllAsync(Func<int, PolicyChoice, IProgress<double>?> progressOf)
        {
            var outcomes = new PolicyOutcome[policies.Count];
            var arrivals = Arrivals.Draw(setup);
            var limits = new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = cancellation };
            await Parallel.ForAsync(0, policies.Count, limits, (i, token) =>
            {
                var (policy, rule) = policies[i];
                outcomes[i] = new PolicyOutcome
                {
                    Policy = policy.Name,
                    Settings = policy.Shown,
                    Result = Simulator.Run(setup, rule, arrivals, keepSeconds, progressOf(i, policy), token),
                };
                return ValueTask.CompletedTask;
            });
            return outcomes;
        }
    }

    // Told on the run's thread, not posted to a pool whose every thread is busy with a run.
    private sealed class Shown(ProgressTask task) : IProgress<double>
    {
        public void Report(double value) => task.Value = value;
    }
}
