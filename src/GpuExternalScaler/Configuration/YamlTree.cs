using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace GpuExternalScaler.Configuration;

/// <summary>A part of a YAML document with its place. Unlike the library's own nodes it keeps keys that are given twice.</summary>
/// <param name="Line">Line, from 1.</param>
/// <param name="Column">Column, from 1.</param>
internal abstract record YamlPart(long Line, long Column)
{
    /// <summary>The environment variable it comes from, instead of the file.</summary>
    public string? Variable { get; init; }
}

/// <summary>A single value.</summary>
internal sealed record YamlText(string Text, long Line, long Column) : YamlPart(Line, Column)
{
    /// <summary>Whether nothing is given, which counts as absent.</summary>
    public bool IsEmpty => Text.Length == 0;
}

/// <summary>A list.</summary>
internal sealed record YamlList(IReadOnlyList<YamlPart> Items, long Line, long Column) : YamlPart(Line, Column);

/// <summary>A mapping in the order of the file.</summary>
internal sealed record YamlMap(List<(YamlPart Key, YamlPart Value)> Entries, long Line, long Column) : YamlPart(Line, Column)
{
    /// <summary>What a key holds; null when it is absent.</summary>
    public YamlPart? Find(string name)
    {
        foreach (var (key, value) in Entries)
        {
            if (key is YamlText text && text.Text == name)
            {
                return value;
            }
        }

        return null;
    }

    /// <summary>What a path of keys leads to; null when any is absent.</summary>
    public YamlPart? Find(ReadOnlySpan<string> path)
    {
        YamlPart? part = this;
        foreach (var name in path)
        {
            part = (part as YamlMap)?.Find(name);
        }

        return part;
    }
}

/// <summary>Reads a file's text into parts.</summary>
internal static class YamlTree
{
    // The deepest key is four down. A megabyte of brackets must not end the process with its stack.
    private const int Deepest = 16;

    private const string NotValid = "not valid YAML here, or shortly before (indentation, a bracket or quote that is not closed, a missing colon)";

    /// <summary>The document's mapping; an empty file is an empty one. Null, with the finding noted, when it is none.</summary>
    public static YamlMap? Parse(string yaml, List<ConfigurationFinding> findings)
    {
        var scanner = new Scanner(new StringReader(yaml));
        try
        {
            var parser = new Parser(scanner);
            parser.Consume<StreamStart>();
            if (parser.TryConsume<StreamEnd>(out _))
            {
                return new YamlMap([], 1, 1);
            }

            parser.Consume<DocumentStart>();
            var root = Read(parser, new Dictionary<string, YamlPart>(StringComparer.Ordinal), 0);
            parser.Consume<DocumentEnd>();
            if (parser.Accept<StreamEnd>(out _))
            {
                switch (root)
                {
                    case YamlMap map:
                        return map;
                    case YamlText { IsEmpty: true }:
                        return new YamlMap([], 1, 1);
                }
            }

            findings.Add(new ConfigurationFinding("", 1, 1, "must be one YAML document of keys and sections"));
        }
        catch (NotReadableException exception)
        {
            findings.Add(new ConfigurationFinding("", exception.At.Line, exception.At.Column, exception.Message));
        }
        catch (YamlException exception)
        {
            // YamlDotNet's messages may quote the text; the place is what helps.
            findings.Add(new ConfigurationFinding("", exception.Start.Line, exception.Start.Column, NotValid));
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // YamlDotNet 16 throws InvalidOperationException at "{ a: b" that is never closed, and others are not ruled out.
            findings.Add(new ConfigurationFinding("", scanner.CurrentPosition.Line, scanner.CurrentPosition.Column, NotValid));
        }

        return null;
    }

    private static YamlPart Read(Parser parser, Dictionary<string, YamlPart> anchors, int depth)
    {
        var start = parser.Current!;
        var (line, column) = (start.Start.Line, start.Start.Column);
        if (depth > Deepest)
        {
            throw new NotReadableException("nested deeper than any key is", start.Start);
        }

        switch (start)
        {
            case AnchorAlias alias:
                parser.MoveNext();
                return anchors.GetValueOrDefault(alias.Value.Value) ?? throw new NotReadableException("an alias (*) of what has no anchor (&) before it", start.Start);
            case Scalar scalar:
                parser.MoveNext();
                // What templates write for a value that is not set.
                var isNull = scalar.Style == ScalarStyle.Plain && scalar.Value is "" or "~" or "null" or "Null" or "NULL";
                return Anchored(scalar, new YamlText(isNull ? "" : scalar.Value, line, column));
            case SequenceStart sequence:
                parser.MoveNext();
                var items = new List<YamlPart>();
                while (!parser.TryConsume<SequenceEnd>(out _))
                {
                    items.Add(Read(parser, anchors, depth + 1));
                }

                return Anchored(sequence, new YamlList(items, line, column));
            case MappingStart mapping:
                parser.MoveNext();
                var entries = new List<(YamlPart, YamlPart)>();
                while (!parser.TryConsume<MappingEnd>(out _))
                {
                    var key = Read(parser, anchors, depth + 1);
                    entries.Add((key, Read(parser, anchors, depth + 1)));
                }

                return Anchored(mapping, new YamlMap(entries, line, column));
            default:
                throw new NotReadableException(NotValid, start.Start);
        }

        YamlPart Anchored(NodeEvent node, YamlPart part)
        {
            if (!node.Anchor.IsEmpty)
            {
                anchors[node.Anchor.Value] = part;
            }

            return part;
        }
    }

    private sealed class NotReadableException(string message, Mark at) : Exception(message)
    {
        public Mark At { get; } = at;
    }
}
