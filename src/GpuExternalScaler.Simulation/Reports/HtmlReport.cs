namespace GpuExternalScaler.Simulation.Reports;

/// <summary>A report as a page of its own: no script, style or picture from anywhere else.</summary>
public static class HtmlReport
{
    /// <summary>Writes it.</summary>
    public static void Write(SimulationReport report, TextWriter to)
    {
        ArgumentNullException.ThrowIfNull(report);
        using var page = new Markup(to);
        using (page.Open("html", ("lang", "en")))
        {
            WriteHead(page, report);
            using (page.Open("body"))
            {
                using (page.Open("main"))
                {
                    using (page.Open("header"))
                    {
                        page.Element("p", "GPU External Scaler · simulation", ("class", "eyebrow"));
                        page.Element("h1", report.Setup.Trace.Name);
                        using (page.Open("div", ("class", "setup")))
                        {
                            foreach (var sentence in Words.Describe(report.Setup))
                            {
                                page.Element("p", sentence);
                            }
                        }
                    }

                    OutcomeTable.Write(page, report);
                    TimePanels.Write(page, report);
                    using (page.Open("div", ("class", "pair")))
                    {
                        WaitChart.Write(page, report);
                        CostChart.Write(page, report);
                    }

                    using (page.Open("footer"))
                    {
                        page.Element("p", $"One run each, seed {report.Setup.Seed}; the same options give the same page. Policies are compared as they were set, not as they could be tuned: before choosing one for good, try several settings of each. A simulation knows no image pulls that fail, no nodes that are missing and no broker that is slow.");
                    }
                }

                using (page.Open("script"))
                {
                    page.Raw(Resource("page.js"));
                }
            }
        }
    }

    private static void WriteHead(Markup page, SimulationReport report)
    {
        using (page.Open("head"))
        {
            page.Void("meta", ("charset", "utf-8"));
            page.Void("meta", ("name", "viewport"), ("content", "width=device-width, initial-scale=1"));

            // What the page promises, the browser holds it to.
            page.Void("meta", ("http-equiv", "Content-Security-Policy"), ("content", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"));
            page.Element("title", $"Simulation of {report.Setup.Trace.Name}");
            using (page.Open("style"))
            {
                page.Raw(Resource("page.css"));
            }
        }
    }

    private static string Resource(string name)
    {
        using var stream = typeof(HtmlReport).Assembly.GetManifestResourceStream(typeof(HtmlReport), name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
