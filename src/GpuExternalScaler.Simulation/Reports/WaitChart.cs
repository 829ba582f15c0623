namespace GpuExternalScaler.Simulation.Reports;

/// <summary>The share of the messages that waited longer than a time, both on logarithmic axes: what is late is in the tail.</summary>
internal static class WaitChart
{
    private const int Width = 400;

    private static readonly (double Seconds, string Text)[] Times =
    [
        (1, "1 s"), (3, "3 s"), (10, "10 s"), (30, "30 s"), (60, "1 min"), (180, "3 min"), (600, "10 min"), (1800, "30 min"), (3600, "1 h"), (10_800, "3 h"), (36_000, "10 h"), (86_400, "1 d"), (864_000, "10 d"),
    ];

    /// <summary>Writes it, where the distributions were kept.</summary>
    public static void Write(Markup page, SimulationReport report)
    {
        if (!report.Outcomes.Any(static outcome => outcome.Result.Waits is { Count: > 1 }))
        {
            return;
        }

        var tails = report.Outcomes.Select(static outcome => Tail(outcome.Result.Waits ?? [])).ToArray();
        var longest = Math.Max(30, Math.Max(1.5 * report.Setup.LateAfter, tails.Max(static tail => tail.Count == 0 ? 0 : tail[^1].Seconds)));
        var across = Axis.Logarithmic(1, longest, Times.Select(static time => time.Seconds));
        var up = Axis.Logarithmic(0.0001, 1, [0.0001, 0.001, 0.01, 0.1, 1]);
        using (page.Open("section", ("class", "waits")))
        {
            page.Element("h2", "How long messages waited");
            page.Element("p", "Share of the messages that waited longer than a time. Lower is better; right of the mark they are late.", ("class", "note"));
            using (page.Open("div", ("class", "plot square")))
            {
                using (Plot.Open(page, Width, across, up))
                {
                    var late = Curves.Number(Width * across.At(report.Setup.LateAfter));
                    page.Void("path", ("class", "limit"), ("d", $"M{late},0V{Curves.Height}"));
                    for (var i = 0; i < tails.Length; i++)
                    {
                        if (tails[i].Count > 1)
                        {
                            page.Void("path", ("class", $"line c{i % Plot.Colours}{(i < Plot.Colours ? "" : " dashed")}"), ("d", Curves.Line([.. tails[i].Select(point => (across.At(point.Seconds), up.At(point.Share)))], Width)));
                        }
                    }
                }

                Plot.Up(page, up, Words.Percent);
                var isLeft = across.At(report.Setup.LateAfter) > 0.6;
                page.Element("span", $"late after {Words.Length(report.Setup.LateAfter)}", ("class", isLeft ? "mark left" : "mark"), ("style", $"left:{Markup.Percent(across.At(report.Setup.LateAfter))}"));
                WriteChips(page, [.. tails.Select(tail => tail.Select(point => (across.At(point.Seconds), up.At(point.Share))).ToArray())]);
                Plot.Across(page, across, static mark => Array.Find(Times, time => time.Seconds == mark).Text, "waited longer than");
            }

            Plot.Names(page, report);
            var patient = report.Outcomes.Where((_, i) => tails[i].Count <= 1).Select(static outcome => outcome.Label).ToArray();
            if (patient.Length > 0)
            {
                page.Element("p", $"No line: hardly a message waited a second under {string.Join(" and ", patient)}.", ("class", "note"));
            }
        }
    }

    /// <summary>Seconds from 1 on and the share that waited as long, as far as the picture goes and no closer than it shows.</summary>
    private static List<(double Seconds, double Share)> Tail(IReadOnlyList<long> waits)
    {
        var points = new List<(double Seconds, double Share)>();
        var all = waits.Sum();
        var longer = all;
        double last = 0;
        for (var seconds = 0; seconds < waits.Count && longer > 0; seconds++)
        {
            var share = (double)longer / all;
            if (seconds >= 1 && (seconds < 30 || seconds > last * 1.02))
            {
                points.Add((seconds, share));
                last = seconds;
            }

            if (share < 0.0001)
            {
                break;
            }

            longer -= waits[seconds];
        }

        return points;
    }

    // As far out on its line as no other is near.
    private static void WriteChips(Markup page, (double X, double Y)[][] lines)
    {
        var placed = new List<(double X, double Y)>();
        for (var i = 0; i < lines.Length; i++)
        {
            if (lines[i].Length < 2)
            {
                continue;
            }

            var free = lines[i].Where(point => point.Y > 0.04 && placed.TrueForAll(other => Math.Abs(point.X - other.X) > 0.06 || Math.Abs(point.Y - other.Y) > 0.09)).ToArray();
            var at = free.Length == 0 ? lines[i][^1] : free[^1];
            placed.Add(at);
            Plot.Chip(page, i, $"left:{Markup.Percent(at.X)};bottom:{Markup.Percent(at.Y)}");
        }
    }
}
