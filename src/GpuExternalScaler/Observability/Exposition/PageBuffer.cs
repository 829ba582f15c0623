using System.Buffers;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>
/// A page in memory, in pooled blocks, so that it is rendered whole before the first byte leaves (a failure becomes a
/// status code, not half a page) without the copies of one growing array.
/// </summary>
internal sealed class PageBuffer : IBufferWriter<byte>, IDisposable
{
    private const int FirstBlockBytes = 64 * 1024;
    private const int LargestBlockBytes = 1024 * 1024;

    private readonly List<byte[]> _blocks = [];
    private readonly List<int> _filled = [];

    /// <summary>Bytes written.</summary>
    public long Length { get; private set; }

    /// <inheritdoc/>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _blocks[^1].Length - _filled[^1]);
        _filled[^1] += count;
        Length += count;
    }

    /// <inheritdoc/>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (_blocks.Count == 0 || _blocks[^1].Length - _filled[^1] < Math.Max(sizeHint, 1))
        {
            var doubled = _blocks.Count == 0 ? FirstBlockBytes : Math.Min(2L * _blocks[^1].Length, LargestBlockBytes);
            _blocks.Add(ArrayPool<byte>.Shared.Rent((int)Math.Max(doubled, sizeHint)));
            _filled.Add(0);
        }

        return _blocks[^1].AsMemory(_filled[^1]);
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    /// <summary>Copies the page to <paramref name="destination"/>.</summary>
    public async Task CopyToAsync(Stream destination, CancellationToken cancellationToken)
    {
        for (var i = 0; i < _blocks.Count; i++)
        {
            await destination.WriteAsync(_blocks[i].AsMemory(0, _filled[i]), cancellationToken);
        }
    }

    /// <summary>Gives the blocks back.</summary>
    public void Dispose()
    {
        foreach (var block in _blocks)
        {
            ArrayPool<byte>.Shared.Return(block);
        }

        _blocks.Clear();
        _filled.Clear();
    }
}
