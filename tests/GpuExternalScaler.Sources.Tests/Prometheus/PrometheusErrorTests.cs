using System.Text;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

public sealed class PrometheusErrorTests
{
    [Theory]
    [InlineData("bad_data", """invalid parameter \"query\": 1:16: parse error: unexpected end of input inside braces""", "BadData", "Syntax", 1, 16)]
    [InlineData("bad_data", "1:3: parse error: x", "BadData", "Syntax", 1, 3)]
    [InlineData("bad_data", "12:345: parse error", "BadData", "Syntax", 12, 345)]
    [InlineData("bad_data", "99999999999999:1: parse error", "BadData", "Syntax", 0, 0)]
    [InlineData("bad_data", ":: parse error", "BadData", "Syntax", 0, 0)]
    [InlineData("bad_data", "parse error: x", "BadData", "Syntax", 0, 0)]
    [InlineData("execution", "found duplicate series for the match group {} on the right hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side", "Execution", "ManyToMany", 0, 0)]
    [InlineData("execution", "vector cannot contain metrics with the same labelset", "Execution", "DuplicateSeries", 0, 0)]
    [InlineData("execution", "multiple matches for labels: many-to-one matching must be explicit", "Execution", "ManyToMany", 0, 0)]
    [InlineData("execution", "query processing would load too many samples into memory in query execution", "Execution", "TooManySamples", 0, 0)]
    [InlineData("bad_data", "exceeded maximum resolution of 11,000 points per timeseries.", "BadData", "TooManyPoints", 0, 0)]
    [InlineData("execution", "invalid regular expression in label_replace(): b(", "Execution", "BadRegex", 0, 0)]
    [InlineData("timeout", "query timed out in query execution", "Timeout", "QueryTimedOut", 0, 0)]
    [InlineData("422", "anything", "Other", "Unknown", 0, 0)]
    public void The_kind_and_the_position_are_read_and_no_text(string type, string message, string kind, string complaint, int line, int column)
    {
        var error = PrometheusError.Read(Encoding.UTF8.GetBytes($$"""{"status":"error","errorType":"{{type}}","error":"{{message}}"}"""));

        error.Should().Be(new PrometheusError(
            Enum.Parse<PrometheusErrorType>(kind), Enum.Parse<PrometheusComplaint>(complaint), line, column));
    }

    [Theory]
    [InlineData("")]
    [InlineData("<html>400 The plain HTTP request was sent to HTTPS port</html>")]
    [InlineData("404 page not found")]
    [InlineData("""{"status":"success","errorType":"bad_data"}""")]
    [InlineData("""{"message":"no"}""")]
    [InlineData("""{"status":"error","errorType":"bad_data","error":"x""")]
    [InlineData("""{"status":"error","errorType":"bad_data","error":"\ud800"}""")]
    [InlineData("[]")]
    public void What_does_not_look_like_Prometheus_is_no_error_of_Prometheus(string body) =>
        PrometheusError.Read(Encoding.UTF8.GetBytes(body)).Type.Should().Be(PrometheusErrorType.None);

    [Fact]
    public void A_message_too_long_is_left_out()
    {
        var error = PrometheusError.Read(Encoding.UTF8.GetBytes(
            $$"""{"status":"error","error":"{{new string('x', 5000)}} 1:2: parse error","errorType":"bad_data"}"""));

        error.Should().Be(new PrometheusError(PrometheusErrorType.BadData, PrometheusComplaint.Unknown, 0, 0));
    }
}
