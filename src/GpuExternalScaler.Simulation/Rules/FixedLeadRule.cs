using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Rules;

/// <summary>
/// A forecast of a fixed lead that is told the service time: arrivals now times a quantile of how much they grew over such a lead in the
/// last hour, and what waits drained within the lead.
/// </summary>
/// <param name="lead">How far it looks ahead, in seconds.</param>
/// <param name="quantile">Share of the growths that is covered, in (0, 1).</param>
/// <param name="serviceTime">Seconds of work in a message.</param>
public sealed class FixedLeadRule(int lead, double quantile, double serviceTime) : IScalingRule
{
    private const int Interval = 5;
    private const int Window = 15 / Interval;
    private const int Hour = 3600 / Interval;

    private readonly List<double> _rates = [];
    private readonly List<long> _published = [];
    private double _growth = 1;

    /// <inheritdoc/>
    public void Observe(int second, in BrokerView view)
    {
        if (second % Interval != Interval - 1)
        {
            return;
        }

        _published.Add(view.Published);
        var from = Math.Max(0, _published.Count - 1 - Window);
        var seconds = (_published.Count - 1 - from) * Interval;
        _rates.Add(seconds == 0 ? view.PublishRate : (view.Published - _published[from]) / (double)seconds);
        if (_rates.Count % 12 == 0)
        {
            Learn();
        }
    }

    /// <inheritdoc/>
    public RuleAnswer Answer(int second, in BrokerView view)
    {
        var rate = _rates.Count == 0 ? view.PublishRate : _rates[^1];
        var replicas = (rate * _growth * serviceTime) + (view.Ready * Math.Min(1, serviceTime / lead));
        return new RuleAnswer(new ExternalMetric(TargetType.AverageValue, replicas, 1), view.Ready + view.Unacked > 0 || replicas >= 0.5);
    }

    private void Learn()
    {
        var steps = Math.Max(1, lead / Interval);
        List<double> growths = [];
        for (var i = Math.Max(0, _rates.Count - Hour); i + steps < _rates.Count; i++)
        {
            if (_rates[i] > 0)
            {
                growths.Add(_rates[i + steps] / _rates[i]);
            }
        }

        if (growths.Count > 0)
        {
            growths.Sort();
            _growth = growths[(int)(quantile * (growths.Count - 1))];
        }
    }
}
