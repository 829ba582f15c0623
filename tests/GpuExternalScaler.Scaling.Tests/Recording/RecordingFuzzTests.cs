using System.Globalization;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Scaling.Tests.Recording;

/// <summary>
/// Bytes that no recorder wrote. <c>GPU_SCALER_FUZZ_BYTES</c> is how many are read, and <c>GPU_SCALER_FUZZ_SEED</c> where to start.
/// What comes of them is a replay or an <see cref="InvalidDataException"/>, in bounded memory, and nothing else.
/// </summary>
public sealed class RecordingFuzzTests
{
    private static readonly byte[][] Whole = [RecordedRun.OfRandom(2, 2, 20), RecordedRun.OfRandom(3, 2, 20), RecordedRun.OfRandom(5, 1, 40, flushes: false)];

    [Fact]
    public void Mutated_recordings_are_refused_or_replayed()
    {
        var budget = Number("GPU_SCALER_FUZZ_BYTES", 2_000_000);
        var seed = (int)Number("GPU_SCALER_FUZZ_SEED", 1);
        for (long read = 0; read < budget; seed++)
        {
            // The file itself: the check of its frames finds out.
            read += Replay(Mutate(new Random(seed), Whole[seed % Whole.Length]), seed);

            // What is inside, packed properly: everything behind the check.
            var random = new Random(seed);
            var frames = Frames.Unpack(Whole[seed % Whole.Length]);
            var chosen = random.Next(frames.Count);
            frames[chosen] = Mutate(random, frames[chosen]);
            read += Replay(Frames.Pack(frames), seed);
        }
    }

    [Fact]
    public void Random_bytes_are_refused()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            var bytes = new byte[random.Next(400)];
            random.NextBytes(bytes);
            Whole[0].AsSpan(0, Math.Min(bytes.Length, random.Next(40))).CopyTo(bytes);
            Replay(bytes, seed);
        }
    }

    [Fact]
    public void A_few_bytes_cannot_ask_for_much_memory()
    {
        // A head that promises 64 MiB, an array of a million elements, and a queue list of a million.
        var frames = Frames.Unpack(Whole[2]);
        byte[] promised = [.. Whole[2].AsSpan(0, 8), 0xF5, 0xA7, 0x3C, 1, 0, 0, 0, 4, 0, 0, 0, 4, 1, 2, 3, 4];
        var before = GC.GetAllocatedBytesForCurrentThread();
        Replay(promised, 0);
        Replay(Frames.Pack([frames[0], [1, 0x80, 0x80, 0x80, 0x80, 0x10, 2, 0, 0, 0, 0xFF, 0xFF, 0x3F, 1, 1, 1]]), 0);
        Replay(Frames.Pack([frames[0], [1, 2, 0x84, 0xFF, 0xFF, 0x3F, 1, 1, 1]]), 0);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(4_000_000);
    }

    private static int Replay(byte[] bytes, int seed)
    {
        try
        {
            Recordings.Replay(new MemoryStream(bytes));
        }
        catch (InvalidDataException)
        {
            // That is the way to say so.
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"seed {seed}: {exception}", exception);
        }

        return bytes.Length;
    }

    private static byte[] Mutate(Random random, byte[] bytes)
    {
        var mutated = bytes.ToList();
        for (var changes = 1 + random.Next(4); changes > 0 && mutated.Count > 0; changes--)
        {
            var at = random.Next(mutated.Count);
            switch (random.Next(5))
            {
                case 0:
                    mutated[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    mutated[at] = (byte)random.Next(256);
                    break;
                case 2:
                    mutated.RemoveRange(at, Math.Min(random.Next(1, 9), mutated.Count - at));
                    break;
                case 3:
                    mutated.InsertRange(at, Enumerable.Range(0, random.Next(1, 9)).Select(_ => (byte)(random.Next(2) == 0 ? 0xFF : random.Next(256))));
                    break;
                default:
                    mutated.InsertRange(at, mutated.GetRange(at, Math.Min(random.Next(1, 40), mutated.Count - at)));
                    break;
            }
        }

        return [.. mutated];
    }

    private static long Number(string variable, long otherwise) =>
        long.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : otherwise;
}
