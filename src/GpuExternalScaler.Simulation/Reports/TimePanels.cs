using System.Text;

namespace GpuExternalScaler.Simulation.Reports;

/// <summary>What happened, over time: arrivals, and below them a panel for each policy, all with the same axes.</summary>
internal sealed class TimePanels
{
    // A picture has no more columns than a screen; many policies share what a page may weigh.
    private const int MostColumns = 720;
    private const int ColumnsOfAll = 12_000;

    private readonly SimulationReport _report;
    private readonly Downsampled[] _sampled;
    private readonly Axis _time;
    private readonly Axis _arrivals;
    private readonly Axis _replicas;
    private readonly Axis _waiting;

    private TimePanels(SimulationReport report)
    {
        _report = report;
        var columns = Math.Clamp(ColumnsOfAll / report.Outcomes.Count, 100, MostColumns);
        _sampled = [.. report.Outcomes.Select(outcome => Downsampled.Of(outcome.Result.Seconds!, columns))];
        _time = Axis.OfTime(_sampled[0].Seconds);
        var demand = _sampled[0].Demand.Max();
        _arrivals = Axis.Linear(Math.Max(_sampled[0].Arrivals.Max(), demand / report.Setup.ServiceTime), 3);
        _replicas = Axis.Linear(Math.Max(1, Math.Max(demand, _sampled.Max(static one => Math.Max(one.Wanted.Max(), one.Ready.Max())))), 4);
        _waiting = Axis.Linear(Math.Max(1, _sampled.Max(static one => one.Waiting.Max())), 1);
    }

    /// <summary>Writes it, where the seconds were kept.</summary>
    public static void Write(Markup page, SimulationReport report)
    {
        if (report.Outcomes.All(static outcome => outcome.Result.Seconds is { Count: > 0 }) && report.Outcomes.Count > 0)
        {
            new TimePanels(report).Write(page);
        }
    }

    private void Write(Markup page)
    {
        using (page.Open("section", ("class", "time")))
        {
            page.Element("h2", "Over time");
            using (page.Open("p", ("class", "key")))
            {
                Key(page, "k-demand", "needed for what arrives");
                Key(page, "k-wanted", "wanted");
                Key(page, "k-ready", "ready");
                Key(page, "k-busy", "at work");
                Key(page, "k-waiting", "messages waiting");
            }

            WriteArrivals(page);
            for (var i = 0; i < _sampled.Length; i++)
            {
                WritePolicy(page, i);
            }

            using (page.Open("div", ("class", "plot axis")))
            {
                Plot.Across(page, _time, mark => Words.Moment(mark, _sampled[0].Seconds > 2 * 86_400));
            }

            var each = _sampled[0].SecondsEach;
            page.Element(
                "p",
                "Hours and minutes since the trace began. All panels have the same scales. Above the dark area replicas are idle; between the pale area and the line they are starting or leaving."
                    + (each > 1 ? $" A column is {Words.Length(each)}: the mean of what arrived, was ready and at work, the most of the rest." : ""),
                ("class", "note"));
            page.Element("script", Data(), ("type", "application/json"), ("id", "columns"));
        }
    }

    private static void Key(Markup page, string kind, string text)
    {
        using (page.Open("span"))
        {
            page.Element("i", "", ("class", kind));
            page.Text(" " + text);
        }
    }

    private void WriteArrivals(Markup page)
    {
        var sampled = _sampled[0];
        var serviceTime = _report.Setup.ServiceTime;
        using (page.Open("div", ("class", "panel")))
        {
            using (page.Open("div", ("class", "head")))
            {
                page.Element("span", "Arrivals", ("class", "name"));
                page.Element("span", "messages a second, and on the right the replicas that they keep busy", ("class", "sum"), ("data-says", "arrivals"));
            }

            using (page.Open("div", ("class", "plot middle")))
            {
                using (Plot.Open(page, sampled.Buckets, _time, _arrivals))
                {
                    page.Void("path", ("class", "arrivals"), ("d", Curves.Area(sampled.Arrivals, _arrivals)));
                    page.Void("path", ("class", "demand"), ("d", Curves.Steps([.. sampled.Demand.Select(demand => demand / serviceTime)], _arrivals)));
                }

                Plot.Up(page, _arrivals, static mark => Words.Figure(mark, 2));
                Plot.Up(page, _arrivals, mark => Words.Figure(mark * serviceTime, mark * serviceTime < 10 ? 1 : 0), "y right");
                page.Element("i", "", ("class", "cursor"));
            }
        }
    }

    private void WritePolicy(Markup page, int policy)
    {
        var (sampled, outcome) = (_sampled[policy], _report.Outcomes[policy]);
        using (page.Open("div", ("class", $"panel of c{policy % Plot.Colours}")))
        {
            using (page.Open("div", ("class", "head")))
            {
                using (page.Open("span", ("class", "name")))
                {
                    Plot.Chip(page, policy);
                    page.Text(" " + outcome.Label);
                }

                page.Element(
                    "span",
                    $"{Words.Percent(outcome.Result.Late)} late · {Words.Hours(outcome.Result.ReplicaHours)} replica-hours",
                    ("class", "sum"),
                    ("data-says", $"{policy}"));
            }

            using (page.Open("div", ("class", "plot tall")))
            {
                using (Plot.Open(page, sampled.Buckets, _time, _replicas))
                {
                    page.Void("path", ("class", "ready"), ("d", Curves.Area(sampled.Ready, _replicas)));
                    page.Void("path", ("class", "busy"), ("d", Curves.Area(sampled.Busy, _replicas)));
                    page.Void("path", ("class", "demand"), ("d", Curves.Steps(_sampled[0].Demand, _replicas)));
                    page.Void("path", ("class", "wanted"), ("d", Curves.Steps(sampled.Wanted, _replicas)));
                }

                Plot.Up(page, _replicas, static mark => Words.Figure(mark, 1));
                page.Element("i", "", ("class", "cursor"));
            }

            using (page.Open("div", ("class", "plot low")))
            {
                using (Plot.Open(page, sampled.Buckets, _time, _waiting))
                {
                    page.Void("path", ("class", "waiting"), ("d", Curves.Area(sampled.Waiting, _waiting)));
                }

                page.Element("span", Words.Figure(_waiting.Marks[^1], 0), ("class", "y top"), ("style", "bottom:100%"));
                page.Element("i", "", ("class", "cursor"));
            }
        }
    }

    // Numbers alone: names are in the page already.
    private string Data()
    {
        var json = new StringBuilder();
        var first = _sampled[0];
        json.Append(System.Globalization.CultureInfo.InvariantCulture, $"{{\"each\":{first.SecondsEach},\"seconds\":{first.Seconds},\"arrivals\":");
        List(json, first.Arrivals);
        json.Append(",\"demand\":");
        List(json, first.Demand);
        json.Append(",\"policies\":[");
        for (var i = 0; i < _sampled.Length; i++)
        {
            json.Append(i == 0 ? "{" : ",{").Append("\"wanted\":");
            List(json, _sampled[i].Wanted);
            json.Append(",\"ready\":");
            List(json, _sampled[i].Ready);
            json.Append(",\"busy\":");
            List(json, _sampled[i].Busy);
            json.Append(",\"waiting\":");
            List(json, _sampled[i].Waiting);
            json.Append('}');
        }

        return json.Append("]}").ToString();
    }

    private static void List(StringBuilder json, double[] values) => json.Append('[').AppendJoin(',', values.Select(Curves.Number)).Append(']');
}
