using System.Text.Json;
using System.Xml;
using System.Xml.Linq;
using GpuExternalScaler.Simulation.Reports;

namespace GpuExternalScaler.Simulation.Tests.Reports;

public class HtmlReportTests
{
    // The only elements that HTML closes by itself, besides those of pictures.
    private static readonly string[] Void = ["meta", "path"];

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(1, 2)]
    [InlineData(3, 14_400)]
    [InlineData(12, 3000)]
    public void It_is_whole_and_needs_nothing_from_outside(int policies, int seconds)
    {
        var text = Page(SampleReport.Of(policies, seconds));
        var page = Parse(text);

        text.Should().StartWith("<!DOCTYPE html><html");
        page.Descendants().Attributes().Should().NotContain(static attribute => attribute.Name == "src" || attribute.Name == "href" || attribute.Value.Contains("://", StringComparison.Ordinal));
        page.Descendants().Should().NotContain(static element => element.Name == "link" || element.Name == "img" || element.Name == "iframe");
        string.Concat(page.Descendants().Where(static element => element.Name == "style" || element.Name == "script").Select(static element => element.Value))
            .Should().NotContain("url(").And.NotContain("@import").And.NotContain("://").And.NotContain("fetch");
        page.Descendants().Where(static element => element.IsEmpty).Should().OnlyContain(static element => Void.Contains(element.Name.LocalName));
        text.Should().NotContain("NaN").And.NotContain("Infinity").And.NotContain("∞");
    }

    [Fact]
    public void Names_cannot_become_markup()
    {
        const string nasty = "</script><script>alert(1)</script>\u0001\u202E&amp;\uD800";
        var page = Parse(Page(SampleReport.Of(3, 300, nasty, nasty)));

        page.Descendants("script").Should().HaveCount(2);
        page.Descendants("h1").Single().Value.Should().StartWith("</script><script>alert(1)</script>");
    }

    [Fact]
    public void A_long_run_of_many_policies_stays_small()
    {
        Page(SampleReport.Of(3, 3 * 86_400)).Length.Should().BeLessThan(400_000);
        Page(SampleReport.Of(40, 20_000)).Length.Should().BeLessThan(1_000_000);
    }

    [Fact]
    public void The_script_finds_numbers_for_each_column()
    {
        var page = Parse(Page(SampleReport.Of(2, 14_400)));
        using var data = JsonDocument.Parse(page.Descendants("script").Single(static script => script.Attribute("id")?.Value == "columns").Value);
        var columns = data.RootElement.GetProperty("arrivals").GetArrayLength();

        columns.Should().Be(720);
        data.RootElement.GetProperty("policies").EnumerateArray().SelectMany(static policy => policy.EnumerateObject()).Should().HaveCount(8)
            .And.OnlyContain(series => series.Value.GetArrayLength() == columns);
    }

    [Fact]
    public void The_same_is_the_same_page() => Page(SampleReport.Of(3, 1000)).Should().Be(Page(SampleReport.Of(3, 1000)));

    private static string Page(SimulationReport report)
    {
        var text = new StringWriter();
        HtmlReport.Write(report, text);
        return text.ToString();
    }

    private static XDocument Parse(string text)
    {
        using var reader = XmlReader.Create(new StringReader(text), new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore });
        return XDocument.Load(reader);
    }
}
