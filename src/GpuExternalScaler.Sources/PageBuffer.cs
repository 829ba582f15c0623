using System.Runtime.InteropServices;

namespace GpuExternalScaler.Sources;

/// <summary>
/// A page's bytes, outside the managed heap: what a hostile endpoint sends is gone the moment it is disposed of, where the
/// collector, or a pool, would keep several answers of the largest size for a long while.
/// </summary>
internal sealed unsafe class PageBuffer() : SafeHandle(invalidHandleValue: 0, ownsHandle: true)
{
    private const nuint Smallest = 64 * 1024;

    private nuint _capacity;

    /// <summary>Bytes in it.</summary>
    public int Length { get; private set; }

    /// <summary>The bytes; until it is disposed of.</summary>
    /// <exception cref="ObjectDisposedException">It was.</exception>
    public ReadOnlySpan<byte> Bytes
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return new ReadOnlySpan<byte>((byte*)handle, Length);
        }
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Adds bytes at the end.</summary>
    /// <exception cref="OutOfMemoryException">There is no room for them.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        var needed = (nuint)Length + (nuint)bytes.Length;
        if (needed > _capacity)
        {
            var capacity = nuint.Max(needed, nuint.Max(Smallest, 2 * _capacity));
            SetHandle((nint)NativeMemory.Realloc((void*)handle, capacity));
            _capacity = capacity;
        }

        bytes.CopyTo(new Span<byte>((byte*)handle + Length, bytes.Length));
        Length = (int)needed;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        NativeMemory.Free((void*)handle);
        return true;
    }
}
