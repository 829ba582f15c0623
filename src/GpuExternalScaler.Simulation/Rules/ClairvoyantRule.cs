using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Rules;

/// <summary>
/// Somebody who knows what will come, and has to live with the same cold start and the same HPA: asks at every moment for the most slots
/// that will be busy, without anybody waiting, at any time from now until a pod asked for at the next sync is ready.
/// </summary>
public sealed class ClairvoyantRule : IScalingRule
{
    // Growing takes more than one sync where the HPA's limits hold.
    private const int Syncs = 2;

    private readonly double[] _asks;

    /// <summary>Looks at what will come.</summary>
    /// <param name="setup">What is simulated.</param>
    /// <param name="arrivals">What arrives in it.</param>
    /// <param name="factor">What his figure is multiplied with: below 1 he lets messages wait.</param>
    public ClairvoyantRule(SimulationSetup setup, Arrivals arrivals, double factor)
    {
        ArgumentNullException.ThrowIfNull(setup);
        ArgumentNullException.ThrowIfNull(arrivals);
        var ahead = (int)Math.Ceiling(setup.ColdStart * Math.Exp(2 * setup.ColdStartSpread)) + (Syncs * setup.ScaledObject.Autoscaler.SyncSeconds);
        var busy = Busy(setup.ServiceTime, arrivals);
        _asks = MostAhead(busy, ahead);
        for (var i = 0; i < _asks.Length; i++)
        {
            _asks[i] *= factor;
        }
    }

    /// <inheritdoc/>
    public void Observe(int second, in BrokerView view)
    {
    }

    /// <inheritdoc/>
    public RuleAnswer Answer(int second, in BrokerView view) =>
        new(new ExternalMetric(TargetType.AverageValue, _asks[second], 1), _asks[second] > 0 || view.Ready + view.Unacked > 0);

    /// <summary>Slots that would be busy if nobody ever waited, on average over what work may take.</summary>
    private static double[] Busy(double serviceTime, Arrivals arrivals)
    {
        var coming = arrivals.PerSecond;
        var busy = new double[coming.Count];

        // Of work between half and one and a half times the mean: all of it is there at first, then ever less.
        var longest = (int)Math.Ceiling(1.5 * serviceTime);
        var left = new double[longest];
        for (var age = 0; age < longest; age++)
        {
            left[age] = Math.Clamp(1.5 - ((age + 0.5) / serviceTime), 0, 1);
        }

        for (var second = 0; second < busy.Length; second++)
        {
            if (coming[second] > 0)
            {
                for (var age = 0; age < longest && second + age < busy.Length; age++)
                {
                    busy[second + age] += coming[second] * left[age];
                }
            }
        }

        return busy;
    }

    /// <summary>The most in the given time from each second on.</summary>
    private static double[] MostAhead(double[] values, int ahead)
    {
        var most = new double[values.Length];
        var falling = new LinkedList<int>();
        for (var i = values.Length - 1; i >= 0; i--)
        {
            while (falling.First is { } first && values[first.Value] <= values[i])
            {
                falling.RemoveFirst();
            }

            falling.AddFirst(i);
            while (falling.Last!.Value > i + ahead)
            {
                falling.RemoveLast();
            }

            most[i] = values[falling.Last.Value];
        }

        return most;
    }
}
