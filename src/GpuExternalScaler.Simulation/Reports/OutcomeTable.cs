namespace GpuExternalScaler.Simulation.Reports;

/// <summary>The figures of all policies, and the sentence that sums them up.</summary>
internal static class OutcomeTable
{
    private static readonly string[] Columns = ["Policy", "Late", "Median wait", "P99 wait", "Replica-hours", "× work", "Changes", "Work lost"];

    /// <summary>Writes both.</summary>
    public static void Write(Markup page, SimulationReport report)
    {
        using (page.Open("section"))
        {
            using (page.Open("p", ("class", "verdict")))
            {
                foreach (var (text, policy) in Verdict(report))
                {
                    WritePart(page, report, text, policy);
                }
            }

            using (page.Open("table"))
            {
                using (page.Open("thead"))
                using (page.Open("tr"))
                {
                    foreach (var column in Columns)
                    {
                        page.Element("th", column, ("scope", "col"));
                    }
                }

                using (page.Open("tbody"))
                {
                    for (var i = 0; i < report.Outcomes.Count; i++)
                    {
                        WriteRow(page, report, i);
                    }
                }
            }
        }
    }

    /// <summary>Who is best at what: texts, and numbers of policies.</summary>
    private static IEnumerable<(string Text, int? Policy)> Verdict(SimulationReport report)
    {
        if (report.Outcomes.Count == 0)
        {
            return [("Nothing was simulated.", null)];
        }

        var results = report.Outcomes.Select(static (outcome, policy) => (outcome.Result, Policy: policy)).ToArray();
        var (prompt, first) = results.OrderBy(static one => one.Result.Late).ThenBy(static one => one.Result.ReplicaHours).First();
        var (cheap, second) = results.OrderBy(static one => one.Result.ReplicaHours).ThenBy(static one => one.Result.Late).First();
        var (late, hours) = (Words.Percent(prompt.Late), Words.Hours(prompt.ReplicaHours));
        return results.Length == 1 ? [("", first), ($": {late} of the messages were late, for {hours} replica-hours.", null)]
            : first == second ? [("", first), ($" had the fewest late messages ({late}) and took the fewest replica-hours ({hours}).", null)]
            :
            [
                ("", first),
                ($" had the fewest late messages: {late}, for {hours} replica-hours. ", null),
                ("", second),
                ($" took the fewest replica-hours: {Words.Hours(cheap.ReplicaHours)}, with {Words.Percent(cheap.Late)} late.", null),
            ];
    }

    private static void WritePart(Markup page, SimulationReport report, string text, int? policy)
    {
        if (policy is not { } number)
        {
            page.Text(text);
            return;
        }

        // Names are full of hyphens, at which lines would break.
        var label = report.Outcomes[number].Label;
        page.Element("span", label, ("class", label.Length <= 32 ? "who whole" : "who"));
    }

    private static void WriteRow(Markup page, SimulationReport report, int policy)
    {
        var result = report.Outcomes[policy].Result;
        using (page.Open("tr"))
        {
            using (page.Open("th", ("scope", "row")))
            {
                Plot.Chip(page, policy);
                page.Element("span", report.Outcomes[policy].Label);
            }

            WriteCell(page, report, result, 1, static one => one.Late, Words.Percent, hasBar: true);
            WriteCell(page, report, result, 2, static one => one.WaitP50, Words.Wait);
            WriteCell(page, report, result, 3, static one => one.WaitP99, Words.Wait);
            WriteCell(page, report, result, 4, static one => one.ReplicaHours, Words.Hours, hasBar: true);
            WriteCell(page, report, result, 5, static one => one.ReplicaHoursPerWork, Words.Times);
            WriteCell(page, report, result, 6, static one => one.Churn, static churn => Words.Figure(churn, 0));
            WriteCell(page, report, result, 7, static one => one.KilledWorkSeconds, Words.Wait);
        }
    }

    private static void WriteCell(Markup page, SimulationReport report, SimulationResult result, int column, Func<SimulationResult, double> figure, Func<double, string> words, bool hasBar = false)
    {
        var all = report.Outcomes.Select(outcome => figure(outcome.Result)).Where(double.IsFinite).ToArray();
        var (least, most) = all.Length == 0 ? (0, 0) : (all.Min(), all.Max());
        var text = words(figure(result));

        // What most have alike, as far as one sees, is nobody's merit.
        var isBest = text == words(least) && 2 * all.Count(one => words(one) == text) <= all.Length;
        using (page.Open("td", [("data-of", Columns[column]), .. isBest ? [("class", "best")] : ((string, string)[])[]]))
        {
            page.Element("span", text);
            if (hasBar && most > 0)
            {
                using (page.Open("i", ("class", "bar")))
                {
                    page.Element("i", "", ("style", $"width:{Markup.Percent(double.IsFinite(figure(result)) ? figure(result) / most : 0)}"));
                }
            }
        }
    }
}
