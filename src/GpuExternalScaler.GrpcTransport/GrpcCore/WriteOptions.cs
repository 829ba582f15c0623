using System.Diagnostics.CodeAnalysis;

namespace Grpc.Core;

/// <summary>How a message is written.</summary>
[Flags]
[SuppressMessage("Naming", "CA1711", Justification = "The name belongs to the API this mirrors.")]
public enum WriteFlags
{
    /// <summary>Written and flushed, compressed where the call is.</summary>
    None = 0,

    /// <summary>Left in the buffer until a later write or the end of the call.</summary>
    BufferHint = 1,

    /// <summary>Never compressed. This transport compresses nothing, so it changes nothing.</summary>
    NoCompress = 2,
}

/// <summary>How messages of a call are written.</summary>
/// <param name="flags">The flags.</param>
public class WriteOptions(WriteFlags flags = WriteFlags.None)
{
    /// <summary>No flags.</summary>
    public static readonly WriteOptions Default = new();

    /// <summary>The flags.</summary>
    public WriteFlags Flags { get; } = flags;
}
