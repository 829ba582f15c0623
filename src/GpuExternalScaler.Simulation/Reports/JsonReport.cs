using System.Text.Encodings.Web;
using System.Text.Json;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Reports;

/// <summary>A report as JSON, for programs: <c>docs/simulation.md</c>. Members are added, and none change.</summary>
public static class JsonReport
{
    /// <summary>Version of what it looks like.</summary>
    public const int Schema = 1;

    private static readonly JsonWriterOptions Options = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes it. A figure that there is none of, such as the wait where nothing came, is null.</summary>
    public static void Write(SimulationReport report, Stream to)
    {
        ArgumentNullException.ThrowIfNull(report);
        using var json = new Utf8JsonWriter(to, Options);
        json.WriteStartObject();
        json.WriteNumber("schema", Schema);
        json.WriteStartObject("setup");
        WriteSetup(json, report.Setup);
        json.WriteEndObject();
        json.WriteStartArray("results");
        foreach (var outcome in report.Outcomes)
        {
            WriteOutcome(json, outcome);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteSetup(Utf8JsonWriter json, SimulationSetup setup)
    {
        json.WriteStartObject("trace");
        json.WriteString("name", setup.Trace.Name);
        json.WriteNumber("seconds", setup.Trace.PerSecond.Count);
        Number(json, "arrivalsPerSecond", setup.Trace.Mean);
        json.WriteBoolean("measured", setup.Trace.IsMeasured);
        json.WriteEndObject();
        Number(json, "serviceTime", setup.ServiceTime);
        Number(json, "coldStart", setup.ColdStart);
        Number(json, "coldStartSpread", setup.ColdStartSpread);
        json.WriteNumber("warmUp", setup.WarmUpSeconds);
        Whole(json, "firstReplicas", setup.FirstReplicas);
        json.WriteBoolean("drain", setup.WorkersDrain);
        Number(json, "lateAfter", setup.LateAfter);
        json.WriteNumber("seed", setup.Seed);
        var (scaled, hpa) = (setup.ScaledObject, setup.ScaledObject.Autoscaler);
        json.WriteStartObject("scaledObject");
        json.WriteNumber("minReplicas", hpa.MinReplicas);
        json.WriteNumber("maxReplicas", hpa.MaxReplicas);
        Whole(json, "idleReplicas", scaled.IdleReplicas);
        json.WriteNumber("pollingSeconds", scaled.PollingSeconds);
        json.WriteNumber("cooldownSeconds", scaled.CooldownSeconds);
        json.WriteNumber("syncSeconds", hpa.SyncSeconds);
        Number(json, "tolerance", hpa.Tolerance);
        WriteRules(json, "scaleUp", hpa.ScaleUp);
        WriteRules(json, "scaleDown", hpa.ScaleDown);
        json.WriteEndObject();
    }

    private static void WriteRules(Utf8JsonWriter json, string name, ScalingRules rules)
    {
        json.WriteStartObject(name);
        json.WriteNumber("stabilizationWindowSeconds", rules.StabilizationWindowSeconds);
        json.WriteString("selectPolicy", rules.Select.ToString());
        Number(json, "tolerance", rules.Tolerance ?? double.NaN);
        json.WriteStartArray("policies");
        foreach (var limit in rules.Policies)
        {
            json.WriteStartObject();
            json.WriteString("type", limit.Type.ToString());
            json.WriteNumber("value", limit.Value);
            json.WriteNumber("periodSeconds", limit.PeriodSeconds);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteOutcome(Utf8JsonWriter json, PolicyOutcome outcome)
    {
        var result = outcome.Result;
        json.WriteStartObject();
        json.WriteString("policy", outcome.Policy);
        json.WriteStartObject("settings");
        foreach (var (key, value) in outcome.Settings)
        {
            json.WriteString(key, value);
        }

        json.WriteEndObject();
        json.WriteNumber("messages", result.Messages);
        Number(json, "late", result.Late);
        Number(json, "waitP50", result.WaitP50);
        Number(json, "waitP99", result.WaitP99);
        Number(json, "replicaHours", result.ReplicaHours);
        Number(json, "replicaHoursPerWork", result.ReplicaHoursPerWork);
        json.WriteNumber("churn", result.Churn);
        Number(json, "killedWorkSeconds", result.KilledWorkSeconds);
        json.WriteEndObject();
    }

    private static void Number(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value))
        {
            json.WriteNumber(name, value);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static void Whole(Utf8JsonWriter json, string name, int? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }
}
