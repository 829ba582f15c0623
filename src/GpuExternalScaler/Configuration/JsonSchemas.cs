using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Configuration;

/// <summary>
/// JSON schemas of the operator's file and of trigger metadata, for editors and CI, made from the tables that bind them.
/// Draft 7: what editors' YAML servers know. They cannot say all that <c>check-config</c> says: lengths of time are only
/// known by their form, as all numbers are in trigger metadata, and ties and repeated keys not at all.
/// </summary>
internal static class JsonSchemas
{
    private const string Draft = "http://json-schema.org/draft-07/schema#";
    private const string Policy = "#/definitions/policy";
    private const string Workload = "#/definitions/workload";

    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        NewLine = "\n",

        // The default writes an apostrophe as \u0027, for HTML that a schema is not.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>The operator's file.</summary>
    public static string File()
    {
        var root = Section(FileKeys.Server, new ScalerOptions(), 0);
        var sections = root["properties"]!.AsObject();
        sections["listen"]!["properties"]!["tls"]!["dependencies"] = Dependencies(
            (FileKeys.TlsCertFile, [FileKeys.TlsKeyFile]), (FileKeys.TlsKeyFile, [FileKeys.TlsCertFile]), (FileKeys.TlsClientCaFile, [FileKeys.TlsCertFile, FileKeys.TlsKeyFile]));
        sections[FileKeys.RabbitMqSection] = Connections("named connections; a trigger can only name one of these", Broker());
        sections[FileKeys.PrometheusSection] = Connections("named Prometheus connections, or of anything that speaks its query API", WithPairs(Section(FileKeys.Prometheus, FileKeys.BlankPrometheus(""), 0), FileKeys.PrometheusPairs));
        sections[FileKeys.GpuSection] = Connections("named connections to accelerator exporters", OneWay(Section(FileKeys.Gpu, FileKeys.BlankGpu(""), 0), FileKeys.GpuWays));
        sections[FileKeys.ModelServersSection] = Connections("named connections to model servers", OneWay(Section(FileKeys.ModelServers, FileKeys.BlankModelServers(""), 0), FileKeys.ModelServerWays));
        sections[FileKeys.DefaultsSection] = new JsonObject
        {
            ["description"] = "policy keys for every workload, weaker than trigger metadata",
            ["oneOf"] = new JsonArray(Reference(), new JsonObject { ["type"] = "null" }),
        };
        sections[FileKeys.WorkloadsSection] = new JsonObject
        {
            ["description"] = "policy keys by namespace/name of ScaledObjects, * for any characters, stronger than trigger metadata",
            ["type"] = ObjectOrNothing(),
            ["patternProperties"] = new JsonObject { ["^[^*]*$"] = Reference(Workload) },
            ["propertyNames"] = new JsonObject { ["pattern"] = "^[a-z0-9.*-]+/[a-z0-9.*-]+$" },
            ["additionalProperties"] = Reference(),
        };
        return Write(root, "GPU External Scaler: configuration file", new JsonObject
        {
            ["policy"] = Keys(PolicyProperties()),
            ["workload"] = Keys(new JsonObject([.. Detached(IdentityProperties()), .. Detached(PolicyProperties())])),
        });

        static JsonObject Keys(JsonObject properties) => new()
        {
            ["type"] = "object",
            ["additionalProperties"] = false,
            ["properties"] = properties,
        };

        static JsonObject PolicyProperties() =>
            Properties(PolicyKeys.All.Values, static key => key.Name, static key => Described(key.InYaml(), key.Meaning, key.Allowed, DefaultOf(key)));

        static IEnumerable<KeyValuePair<string, JsonNode?>> Detached(JsonObject properties) =>
            properties.Select(static property => KeyValuePair.Create(property.Key, property.Value?.DeepClone()));
    }

    /// <summary>The metadata of a trigger, where every value is text.</summary>
    public static string Trigger()
    {
        var properties = IdentityProperties();
        foreach (var key in PolicyKeys.All.Values)
        {
            properties[key.Name] = Described(key.InText(), key.Meaning, key.Allowed, DefaultOf(key));
        }

        var own = properties.Select(static property => property.Key).ToList();
        foreach (var key in TriggerKeys.Transport)
        {
            properties[key] = Described(new JsonObject { ["type"] = "string" }, "KEDA's own: how it reaches the scaler", null, null);
        }

        // K9: a key that ends in FromEnv counts as the key without it.
        const string FromEnvironment = "FromEnv";
        return Write(
            new JsonObject
            {
                ["type"] = "object",
                ["additionalProperties"] = false,
                ["properties"] = properties,
                ["patternProperties"] = new JsonObject { [$"^({string.Join('|', own.Concat(TriggerKeys.Transport))}){FromEnvironment}$"] = new JsonObject { ["type"] = "string" } },
                ["anyOf"] = new JsonArray([.. new[] { TriggerKeys.Queue, TriggerKeys.QueueRegex }.Concat(TriggerKeys.DemandWithoutQueue).Select(AnyForm)]),
                ["not"] = new JsonObject { ["anyOf"] = new JsonArray([.. TriggerKeys.Alternatives.Select(static pair => new JsonObject { ["allOf"] = new JsonArray(AnyForm(pair.One), AnyForm(pair.Other)) })]) },
            },
            "GPU External Scaler: trigger metadata",
            definitions: null);

        static JsonObject AnyForm(string key) => new() { ["anyOf"] = new JsonArray(Requires(key), Requires(key + FromEnvironment)) };
    }

    private static JsonObject IdentityProperties() => Properties(TriggerKeys.Identity, static key => key.Name, static key =>
        Described(new JsonObject { ["type"] = "string", ["pattern"] = key.Pattern }, key.Meaning, null, key.Default));

    private static JsonObject Connections(string meaning, JsonObject connection)
    {
        connection["type"] = "object";
        return new JsonObject { ["description"] = meaning, ["type"] = ObjectOrNothing(), ["additionalProperties"] = connection };
    }

    private static JsonObject Broker()
    {
        var connection = WithPairs(Section(FileKeys.RabbitMq, FileKeys.BlankRabbitMq(""), 0), FileKeys.RabbitMqPairs);
        connection["anyOf"] = new JsonArray([.. FileKeys.RabbitMqEndpoints.Select(static name => Requires(name))]);
        var (alternative, otherwise) = FileKeys.RabbitMqAlternatives;
        connection["properties"]![alternative.Split('.')[0]]!["oneOf"] = new JsonArray(Requires(alternative.Split('.')[1]), Requires(otherwise.Split('.')[1]));
        return connection;
    }

    private static JsonObject WithPairs(JsonObject connection, IReadOnlyList<(string One, string Other)> pairs)
    {
        foreach (var (one, other) in pairs)
        {
            var section = one.Split('.') is [var above, _] ? connection["properties"]![above]! : connection;
            section["dependencies"] = Dependencies((one, [other]), (other, [one]));
        }

        return connection;
    }

    private static JsonObject OneWay(JsonObject connection, IReadOnlyList<string> ways)
    {
        connection["oneOf"] = new JsonArray([.. ways.Select(Requires)]);
        connection["not"] = new JsonObject { ["required"] = new JsonArray(FileKeys.PrometheusSection, "interval") };
        return connection;
    }

    // What needs which other keys of its section.
    private static JsonObject Dependencies(params IEnumerable<(string Key, string[] Needs)> dependencies)
    {
        return new JsonObject(dependencies.Select(static pair => KeyValuePair.Create<string, JsonNode?>(
            Name(pair.Key), new JsonArray([.. pair.Needs.Select(static need => (JsonNode)Name(need))]))));

        static string Name(string path) => path.Split('.')[^1];
    }

    private static JsonObject Section<T>(IEnumerable<FileKey<T>> keys, T blank, int depth)
    {
        var properties = new JsonObject();
        var required = new JsonArray();
        foreach (var group in keys.GroupBy(key => key.Segments[depth]))
        {
            if (group.First() is { } leaf && leaf.Segments.Count == depth + 1)
            {
                properties[group.Key] = Described(leaf.Schema(), leaf.Meaning, null, leaf.Shape != KeyShape.Single || leaf.Required is not null ? null : leaf.Show(blank).SingleOrDefault());
                if (leaf.Required is not null)
                {
                    required.Add((JsonNode)group.Key);
                }
            }
            else
            {
                properties[group.Key] = Section(group, blank, depth + 1);
            }
        }

        var schema = new JsonObject { ["type"] = required.Count > 0 ? "object" : ObjectOrNothing(), ["additionalProperties"] = false, ["properties"] = properties };
        if (required.Count > 0)
        {
            schema["required"] = required;
        }

        return schema;
    }

    private static JsonObject Properties<T>(IEnumerable<T> keys, Func<T, string> name, Func<T, JsonObject> schema) =>
        new(keys.Select(key => KeyValuePair.Create(name(key), (JsonNode?)schema(key))));

    private static JsonObject Described(JsonObject schema, string meaning, string? allowed, string? otherwise)
    {
        schema.Insert(0, "description", allowed is null ? meaning : $"{meaning}: {allowed}");
        if (otherwise is not null)
        {
            schema["default"] = schema["type"]?.ToString() is "number" or "integer" or "boolean" ? JsonNode.Parse(otherwise) : otherwise;
        }

        return schema;
    }

    // "measured" says what holds and is no value.
    private static string? DefaultOf(PolicyKey key) =>
        key.Show(ScalingPolicy.Default) is var shown && key.Parse(shown) is not null ? shown : null;

    // A section whose keys are all commented out is nothing.
    private static JsonArray ObjectOrNothing() => new("object", "null");

    private static JsonObject Reference(string definition = Policy) => new() { ["$ref"] = definition };

    private static JsonObject Requires(string key) => new() { ["required"] = new JsonArray(key) };

    private static string Write(JsonObject schema, string title, JsonObject? definitions)
    {
        schema.Insert(0, "$schema", Draft);
        schema.Insert(1, "title", title);
        if (definitions is not null)
        {
            schema["definitions"] = definitions;
        }

        return schema.ToJsonString(Indented) + "\n";
    }
}
