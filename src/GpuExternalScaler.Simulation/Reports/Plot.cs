namespace GpuExternalScaler.Simulation.Reports;

/// <summary>
/// A picture that takes the width there is: curves are stretched, texts are not, so that it can be read on a phone and on a wall.
/// </summary>
internal static class Plot
{
    /// <summary>Number of colours; further policies use them again and are told apart by their numbers.</summary>
    public const int Colours = 8;

    /// <summary>Opens the drawing of a plot, with lines at marks.</summary>
    public static Markup.Closing Open(Markup page, int width, Axis across, Axis up)
    {
        var closing = page.Open("svg", ("viewBox", $"0 0 {width} {Curves.Height}"), ("preserveAspectRatio", "none"), ("aria-hidden", "true"));
        foreach (var mark in up.Marks)
        {
            var y = Curves.Number(Curves.Height * (1 - up.At(mark)));
            page.Void("path", ("class", up.At(mark) == 0 ? "base" : "grid"), ("d", $"M0,{y}H{width}"));
        }

        foreach (var mark in across.Marks)
        {
            if (across.At(mark) is > 0 and < 1)
            {
                page.Void("path", ("class", "grid"), ("d", $"M{Curves.Number(width * across.At(mark))},0V{Curves.Height}"));
            }
        }

        return closing;
    }

    /// <summary>The texts of an upright axis.</summary>
    public static void Up(Markup page, Axis axis, Func<double, string> text, string kind = "y")
    {
        foreach (var mark in axis.Marks)
        {
            page.Element("span", text(mark), ("class", kind), ("style", $"bottom:{Markup.Percent(axis.At(mark))}"));
        }
    }

    /// <summary>The texts of a lying axis.</summary>
    public static void Across(Markup page, Axis axis, Func<double, string> text, string title = "")
    {
        using (page.Open("div", ("class", "across")))
        {
            var i = 0;
            foreach (var mark in axis.Marks)
            {
                // Where there is little room every other text is left out.
                page.Element("span", text(mark), ("class", i++ % 2 == 0 ? "x" : "x odd"), ("style", $"left:{Markup.Percent(axis.At(mark))}"));
            }

            if (title.Length > 0)
            {
                page.Element("span", title, ("class", "title"));
            }
        }
    }

    /// <summary>The number of a policy in its colour.</summary>
    public static void Chip(Markup page, int policy, string style = "") =>
        page.Element("b", $"{policy + 1}", [("class", $"chip c{policy % Colours}"), .. style.Length == 0 ? ((string, string)[])[] : [("style", style)]]);

    /// <summary>Number and name of each policy.</summary>
    public static void Names(Markup page, SimulationReport report)
    {
        using (page.Open("p", ("class", "key")))
        {
            for (var i = 0; i < report.Outcomes.Count; i++)
            {
                using (page.Open("span"))
                {
                    Chip(page, i);
                    page.Text(" " + report.Outcomes[i].Label);
                }
            }
        }
    }
}
