using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;

namespace GpuExternalScaler.Tests.Configuration;

public class JsonSchemaTests
{
    private const string Rewrite = "GPU_SCALER_WRITE_SCHEMAS";

    [Theory]
    [InlineData("scaler.schema.json")]
    [InlineData("trigger-metadata.schema.json")]
    public void The_schema_in_docs_is_what_the_key_tables_say(string name)
    {
        var file = Path.Combine(Repository.Root, "docs", name);
        var schema = name.StartsWith("scaler", StringComparison.Ordinal) ? JsonSchemas.File() : JsonSchemas.Trigger();
        if (Environment.GetEnvironmentVariable(Rewrite) == "1")
        {
            File.WriteAllText(file, schema);
        }

        File.ReadAllText(file).Should().Be(schema, $"run this test with {Rewrite}=1 to write it anew");
    }

    [Fact]
    public void Every_default_is_allowed_by_its_own_key()
    {
        foreach (var (key, property) in JsonNode.Parse(JsonSchemas.Trigger())!["properties"]!.AsObject())
        {
            if (property!["default"] is { } otherwise && PolicyKeys.All.TryGetValue(key, out var policy))
            {
                policy.Parse(otherwise.ToString()).Should().NotBeNull(key);
                Text(property, otherwise.ToString()).Should().BeTrue(key);
            }
        }
    }

    [Theory]
    [InlineData("queue", "images", "a, b", "queue name")]
    [InlineData("queue", ",", " , ", "")]
    [InlineData("metricName", "a", "A-b-9", "a1")]
    [InlineData("metricName", "-a", "a-", "a_b", "ä")]
    [InlineData("saturationThreshold", "0.7", "1", "1e-1", ".5", "+0.5", "x", "0,5", "1.")]
    [InlineData("prefetch", "auto", "0", "16", "Auto", "none")]
    [InlineData("coldStart", "60s", "1h30m", "1.5s", "1500", "250ms", "0", "2d", "s", "1 s", "-1s", "auto", "auto 30s", "auto  1500", "auto x", "auto30s", "Auto", "automatic")]
    [InlineData("waitObjective", "99% within 5s", "99.9 % within 1m30s", "99%within 500", "99% in 5s", "99 within 5s", "within 5s", "99% within", "99%")]
    [InlineData("forecast", "auto", "off", "trend", "seasonal", "Auto", "on")]
    [InlineData("forecastQuantile", "0.5", "0.999", "p90", "90%")]
    [InlineData("warmReplicas", "0", "2", "two")]
    [InlineData("schedule", "0 8 * * 1-5 / 10h: 4", "0 8 * * mon-fri/10h:4;", "*/15 0 1,3 * * / 1h : 4\n0 0 1 jan * / 24h: 2", "0 8 * * / 10h: 4", "0 8 * * * * / 10h: 4", "0 8 * * * 10h: 4", "0 8 * * * / 10h 4", "0 8 * * * / 10h:", "; ;")]
    [InlineData("timeZone", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "+02:00", "W. Europe Standard Time", "../UTC", "Europe/Berlin/", "/UTC")]
    [InlineData("missingQueue", "hold", "zero", "Zero", "")]
    [InlineData("mode", "job", "deployment", "x")]
    [InlineData("target", "llama", "a.b-1", "Llama", "a_b", "a/b")]
    [InlineData("vramThreshold", "0.85", "1", "1e-1", "85%", "x")]
    [InlineData("vramAggregate", "total", "max", "sum")]
    [InlineData("modelMemory", "40Gi", "40G", "1.5Ti", "512Mi", "1k", "0", "5.", "40000000000", "4e10", "4e+10", "40GB", "40gi", "-1", "Gi", "1 Gi", "1e3Gi", "+5", ".5Gi")]
    [InlineData("gpusPerReplica", "auto", "2", "Auto", "many")]
    [InlineData("latencyObjective", "2s", "1500", "2 s")]
    [InlineData("query", "sum(x)", "a\tb")]
    [InlineData("maxReplicas", "20", "2e1", "many")]
    public void The_schema_and_the_server_allow_the_same_texts(string key, params string[] texts)
    {
        var property = JsonNode.Parse(JsonSchemas.Trigger())!["properties"]![key]!;
        foreach (var text in texts.Where(static text => text.Length > 0))
        {
            KeyValuePair<string, string>[] metadata = key == "queue" ? [new(key, text)] : [new("queue", "images"), new(key, text)];
            var isRead = TriggerMetadata.Parse("genai", "filter", metadata, out _) is not null;

            Text(property, text).Should().Be(isRead, $"{key}={text}");
        }
    }

    private static bool Text(JsonNode property, string text) => property["enum"] is { } words
        ? words.AsArray().Any(word => word!.ToString() == text)
        : Regex.IsMatch(text, property["pattern"]!.ToString(), RegexOptions.ECMAScript, TimeSpan.FromSeconds(1));
}
