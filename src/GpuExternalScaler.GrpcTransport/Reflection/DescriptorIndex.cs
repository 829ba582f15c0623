using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace GpuExternalScaler.GrpcTransport.Reflection;

/// <summary>Finds files by their name and by what they declare.</summary>
internal sealed class DescriptorIndex
{
    private readonly Dictionary<string, FileDescriptor> _byFileName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, FileDescriptor> _bySymbol = new(StringComparer.Ordinal);
    private readonly HashSet<string> _messages = new(StringComparer.Ordinal);

    public DescriptorIndex(IEnumerable<ServiceDescriptor> services)
    {
        var all = services.ToArray();
        ServiceNames = [.. all.Select(service => service.FullName).Distinct().Order(StringComparer.Ordinal)];
        foreach (var service in all)
        {
            AddFile(service.File);
        }
    }

    /// <summary>Fully qualified, in order.</summary>
    public IReadOnlyList<string> ServiceNames { get; }

    public bool IsMessage(string name) => _messages.Contains(name);

    public FileDescriptor? FindFile(string name) => _byFileName.GetValueOrDefault(name);

    public FileDescriptor? FindFileOfSymbol(string symbol) => _bySymbol.GetValueOrDefault(symbol);

    /// <summary>
    /// The file and all it depends on, each once, the file first. Sent together, so that a client needs one question
    /// where it would otherwise ask for each import.
    /// </summary>
    public static IEnumerable<ByteString> WithDependencies(FileDescriptor file)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var pending = new Queue<FileDescriptor>([file]);
        while (pending.TryDequeue(out var next))
        {
            if (!seen.Add(next.Name))
            {
                continue;
            }

            yield return next.SerializedData;
            foreach (var dependency in next.Dependencies)
            {
                pending.Enqueue(dependency);
            }
        }
    }

    private void AddFile(FileDescriptor file)
    {
        if (!_byFileName.TryAdd(file.Name, file))
        {
            return;
        }

        foreach (var service in file.Services)
        {
            AddSymbol(service);
            foreach (var method in service.Methods)
            {
                AddSymbol(method);
            }
        }

        foreach (var message in file.MessageTypes)
        {
            AddMessage(message);
        }

        foreach (var enumeration in file.EnumTypes)
        {
            AddEnum(enumeration, file.Package);
        }

        foreach (var dependency in file.Dependencies)
        {
            AddFile(dependency);
        }
    }

    private void AddMessage(MessageDescriptor message)
    {
        AddSymbol(message);
        _messages.Add(message.FullName);
        foreach (var field in message.Fields.InDeclarationOrder())
        {
            AddSymbol(field);
        }

        foreach (var oneof in message.Oneofs)
        {
            AddSymbol(oneof);
        }

        foreach (var nested in message.NestedTypes)
        {
            AddMessage(nested);
        }

        foreach (var enumeration in message.EnumTypes)
        {
            AddEnum(enumeration, message.FullName);
        }
    }

    // Protocol buffers give an enum's values the scope the enum itself is in: pkg.VALUE, not pkg.Enum.VALUE.
    private void AddEnum(EnumDescriptor enumeration, string scope)
    {
        AddSymbol(enumeration);
        foreach (var value in enumeration.Values)
        {
            _bySymbol.TryAdd(scope.Length == 0 ? value.Name : $"{scope}.{value.Name}", enumeration.File);
        }
    }

    private void AddSymbol(IDescriptor symbol) => _bySymbol.TryAdd(symbol.FullName, symbol.File);
}
