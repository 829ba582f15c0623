namespace GpuExternalScaler.Simulation.Reports;

/// <summary>What each policy costs, and how much is late under it.</summary>
internal static class CostChart
{
    private const int Width = 400;

    /// <summary>Writes it.</summary>
    public static void Write(Markup page, SimulationReport report)
    {
        var shown = report.Outcomes
            .Select(static (outcome, policy) => (Policy: policy, Hours: outcome.Result.ReplicaHours, outcome.Result.Late))
            .Where(static one => double.IsFinite(one.Hours) && double.IsFinite(one.Late))
            .ToArray();
        if (shown.Length < 2)
        {
            return;
        }

        var across = Axis.Linear(1.08 * shown.Max(static one => one.Hours), 5);
        var up = Axis.Linear(Math.Max(0.001, 1.08 * shown.Max(static one => one.Late)), 4);
        using (page.Open("section", ("class", "cost")))
        {
            page.Element("h2", "What it cost");
            page.Element("p", "Replica-hours, and the share of the messages that was late. Further down and left is better; none is better in both than those on the line.", ("class", "note"));
            using (page.Open("div", ("class", "plot square")))
            {
                using (Plot.Open(page, Width, across, up))
                {
                    var best = Frontier(shown).Select(one => (across.At(one.Hours), up.At(one.Late))).ToArray();
                    if (best.Length > 1)
                    {
                        page.Void("path", ("class", "frontier"), ("d", Curves.Line(best, Width)));
                    }
                }

                Plot.Up(page, up, Words.Percent);
                foreach (var (policy, hours, late) in shown.Reverse())
                {
                    Plot.Chip(page, policy, $"left:{Markup.Percent(across.At(hours))};bottom:{Markup.Percent(up.At(late))}");
                }

                Plot.Across(page, across, static mark => Words.Figure(mark, 1), "replica-hours");
            }

            Plot.Names(page, report);
        }
    }

    private static IEnumerable<(int Policy, double Hours, double Late)> Frontier((int Policy, double Hours, double Late)[] shown)
    {
        var least = double.PositiveInfinity;
        foreach (var one in shown.OrderBy(static one => one.Hours).ThenBy(static one => one.Late))
        {
            if (one.Late < least)
            {
                least = one.Late;
                yield return one;
            }
        }
    }
}
