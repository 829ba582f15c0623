using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;

namespace GpuExternalScaler.Sources.Tests.Gpu;

public class GpuPropertyTests
{
    private const long LargestDevice = 400L << 30;

    // Every family, every label, and numbers that may or may not fit together.
    private static readonly string[][] Parts =
    [
        [.. GpuMetric.All.Select(static metric => metric.Name)],
        ["UUID=\"GPU-a\"", "UUID=\"GPU-b\"", "gpu=\"0\",Hostname=\"n1\"", "gpu_id=\"1\"", "model=\"x\""],
        ["", ",GPU_I_ID=\"3\"", ",GPU_I_ID=\"5\""],
        [
            "",
            ",namespace=\"ml\",pod=\"p\",container=\"c\"",
            ",namespace=\"ml\",pod=\"q\",vgpu=\"1\"",
            ",exported_namespace=\"ml\",exported_pod=\"p\",namespace=\"gpus\",pod=\"x\"",
            ",pod_namespace=\"ml\",pod_name=\"p\",container_name=\"d\"",
        ],
        ["0", "1", "100", "20480", "61000", "81920", "1073741824", "85899345920", "0.5", "NaN", "-3", "1e99"],
        [.. new[] { 0, 0, 10, 59, 61, -30 }.Select(static age => (GpuSweep.Now.ToUnixTimeMilliseconds() - (age * 1000L)).ToString(CultureInfo.InvariantCulture))],
    ];

    private static readonly byte[] Meaningful = [.. "\"\\{}=, \n#0129.eE+-N"u8];

    private static readonly Gen<string> SampleLine = Gen.Choose(0, int.MaxValue - 1).Select(static seed => LineOf(new Random(seed)));

    private static readonly Gen<string[]> Page = SampleLine.ArrayOf();

    [Fact]
    public void The_order_of_lines_changes_nothing() => Prop
        .ForAll(Page.ToArbitrary(), Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), static (page, seed) =>
        {
            var shuffled = page.ToArray();
            new Random(seed).Shuffle(shuffled);
            Same(Read([page]), Read([shuffled]), withCounts: true);
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    [Fact]
    public void Repeated_lines_change_nothing() => Prop
        .ForAll(Page.ToArbitrary(), static page => Same(Read([page]), Read([[.. page, .. page]]), withCounts: false))
        .Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    [Fact]
    public void The_order_of_pages_changes_nothing() => Prop
        .ForAll(Page.ToArbitrary(), Page.ToArbitrary(), static (one, other) =>
        {
            var reader = new GpuSampleReader(GpuSweep.StaleAfter);
            reader.Begin(GpuSweep.Now);
            reader.TakePage(Text(one), "a");
            reader.TakePage(Text(other), "b");
            var forth = reader.Finish();
            reader.Begin(GpuSweep.Now);
            reader.TakePage(Text(other), "b");
            reader.TakePage(Text(one), "a");
            Same(forth, reader.Finish(), withCounts: true);
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(100));

    [Fact]
    public void Whatever_the_lines_say_the_reading_holds_together() => Prop
        .ForAll(Page.ToArbitrary(), static page => HoldsTogether(Read([page])))
        .Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Fact]
    public void While_exporters_change_a_figure_is_right_or_not_there() => Prop
        .ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), static seed =>
        {
            var random = new Random(seed);
            long used = random.Next(0, 60_000), free = random.Next(8_000, 120_000), reserved = random.Next(0, 600);
            var busy = random.Next(0, 101);

            // Old and new exporters, before and behind relabelling, each losing lines: on one row, or on rows of their own.
            var lines = new List<string>();
            for (var exporters = random.Next(1, 5); exporters > 0; exporters--)
            {
                string[] labels =
                [
                    "Hostname=\"n1\",namespace=\"ml\",pod=\"p\"",
                    "hostname=\"n1\",namespace=\"ml\",pod=\"p\",vgpu=\"2\"",
                    "exported_namespace=\"ml\",exported_pod=\"p\",namespace=\"gpus\",pod=\"x\",instance=\"i\"",
                    "pod_namespace=\"ml\",pod_name=\"p\"",
                    "Hostname=\"n1\"",
                ];
                var label = "{UUID=\"GPU-a\"," + labels[random.Next(labels.Length)] + "} ";
                var isOlder = random.Next(2) == 0;
                var unit = isOlder ? 1 : GpuSweep.MiB;
                var suffix = isOlder ? "" : "_BYTES";
                Add("DCGM_FI_DEV_FB_USED" + suffix, used * unit, always: true);
                Add("DCGM_FI_DEV_FB_FREE" + suffix, free * unit);
                Add("DCGM_FI_DEV_FB_RESERVED" + suffix, reserved * unit);
                Add(isOlder ? "DCGM_FI_DEV_FB_TOTAL" : "DCGM_FI_DEV_FB_CAPACITY_BYTES", (used + free + reserved) * unit);
                Add("DCGM_FI_DEV_GPU_UTIL", isOlder ? busy : busy / 100.0);

                void Add(string name, double value, bool always = false)
                {
                    if (always || random.Next(3) > 0)
                    {
                        lines.Add(name + label + value.ToString("R", CultureInfo.InvariantCulture));
                    }
                }
            }

            var reading = Read([[.. lines]]);
            var share = reading.Shares.Concat(reading.Unallocated).Should().ContainSingle().Which;
            (share.UsedBytes == used * GpuSweep.MiB).Should().BeTrue("{0}", lines);
            (share.UsableBytes is null || share.UsableBytes == (used + free) * GpuSweep.MiB).Should().BeTrue("{0}", lines);
            (share.Utilisation is null || Math.Abs(share.Utilisation.Value - (busy / 100.0)) < 1e-9).Should().BeTrue("{0}", lines);
            (share.Pod == "p" || !lines.Exists(static line => line.Contains("\"p\"", StringComparison.Ordinal))).Should().BeTrue("{0}", lines);
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Fact]
    public void Any_text_survives_as_the_name_of_a_device() => Prop
        .ForAll(ArbMap.Default.ArbFor<NonEmptyString>(), static text =>
        {
            // Lone surrogates have no UTF-8 form.
            var device = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text.Get));
            var escaped = device
                .Replace("\\", "\\\\", StringComparison.Ordinal)
                .Replace("\"", "\\\"", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal);
            var reading = Read([[$"DCGM_FI_DEV_FB_USED{{UUID=\"{escaped}\",namespace=\"ml\",pod=\"p\"}} 5"]]);
            reading.Shares.Should().ContainSingle().Which.Device.Should().Be(device);
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    /// <summary>
    /// Captures, mutilated: flipped bytes, lines moved, doubled, cut and joined, numbers replaced. As many bytes as
    /// <c>GPU_SCALER_FUZZ_BYTES</c> says (10000000 takes some seconds), from the seed <c>GPU_SCALER_FUZZ_SEED</c>.
    /// </summary>
    [Fact]
    public void Mutilated_pages_never_throw_and_never_give_a_number_that_is_none()
    {
        var budget = Setting("GPU_SCALER_FUZZ_BYTES", 3_000_000);
        var random = new Random((int)Setting("GPU_SCALER_FUZZ_SEED", 4711));
        var folder = AppContext.BaseDirectory;
        var captures = Directory.EnumerateFiles(Path.Combine(folder, "Gpu", "Data"), "*.txt")
            .Concat(Directory.EnumerateFiles(Path.Combine(folder, "ModelServers", "Data"), "*.txt"))
            .Order(StringComparer.Ordinal)
            .Select(File.ReadAllBytes)
            .Append(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 2000).Select(_ => LineOf(random) + "\n"))))
            .ToArray();
        var gpus = new GpuSampleReader(GpuSweep.StaleAfter);
        var servers = new ModelServerSampleReader(GpuSweep.StaleAfter);
        for (long read = 0; read < budget;)
        {
            gpus.Begin(GpuSweep.Now);
            servers.Begin(GpuSweep.Now);
            for (var pages = random.Next(1, 4); pages > 0; pages--)
            {
                var page = Mutilated(captures[random.Next(captures.Length)], captures[random.Next(captures.Length)], random);
                gpus.TakePage(page, "a");
                servers.TakePage(page, "ml", "p", "a");
                read += page.Length;
            }

            HoldsTogether(gpus.Finish());
            foreach (var pod in servers.Finish().Pods)
            {
                (pod.Waiting is null or (>= 0 and <= 1e15)).Should().BeTrue();
                (pod.Running is null or (>= 0 and <= 1e15)).Should().BeTrue();
                (pod.CacheFill is null or (>= 0 and <= 1)).Should().BeTrue();
            }
        }
    }

    private static string LineOf(Random random)
    {
        var parts = Array.ConvertAll(Parts, part => part[random.Next(part.Length)]);
        return $"{parts[0]}{{{parts[1]}{parts[2]}{parts[3]}}} {parts[4]} {parts[5]}";
    }

    private static byte[] Mutilated(byte[] page, byte[] other, Random random)
    {
        var bytes = page.ToList();
        for (var edits = random.Next(0, 12); edits > 0; edits--)
        {
            var at = random.Next(bytes.Count + 1);
            var length = Math.Min(random.Next(1, 200), bytes.Count - at);
            switch (random.Next(7))
            {
                case 0 when at < bytes.Count:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1 when at < bytes.Count:
                    bytes[at] = Meaningful[random.Next(Meaningful.Length)];
                    break;
                case 2:
                    bytes.RemoveRange(at, length);
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(random.Next(bytes.Count - length + 1), length));
                    break;
                case 4:
                    var from = random.Next(other.Length);
                    bytes.InsertRange(at, other.Skip(from).Take(length));
                    break;
                case 5:
                    // A number at the end of a line becomes another.
                    var end = bytes.IndexOf((byte)'\n', at);
                    string[] numbers = ["NaN", "+Inf", "-Inf", "-0", "1e308", "1e-308", "9223372036854775807", "-1", "0.5 -9223372036854775808", "7 9223372036854775807", ""];
                    bytes.InsertRange(end < 0 ? bytes.Count : end, Encoding.ASCII.GetBytes(numbers[random.Next(numbers.Length)]));
                    break;
                default:
                    bytes.RemoveRange(at, random.Next(8) == 0 ? bytes.Count - at : 0);
                    break;
            }
        }

        return [.. bytes];
    }

    private static long Setting(string name, long otherwise) =>
        long.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : otherwise;

    private static byte[] Text(string[] lines) => Encoding.UTF8.GetBytes(string.Concat(lines.Select(static line => line + "\n")));

    private static AcceleratorReading Read(string[][] pages)
    {
        var reader = new GpuSampleReader(GpuSweep.StaleAfter);
        reader.Begin(GpuSweep.Now);
        foreach (var page in pages)
        {
            reader.TakePage(Text(page), "a");
        }

        return reader.Finish();
    }

    // Assertions only where they have something to say: they cost more than the reading.
    private static void Same(AcceleratorReading one, AcceleratorReading other, bool withCounts)
    {
        if (!one.Shares.SequenceEqual(other.Shares)
            || !one.Unallocated.SequenceEqual(other.Unallocated)
            || (withCounts && !one.Refused.SequenceEqual(other.Refused)))
        {
            other.Should().BeEquivalentTo(one, static options => options.WithStrictOrdering());
        }
    }

    private static void HoldsTogether(AcceleratorReading reading)
    {
        var devices = new HashSet<(string, string)>();
        var holders = new HashSet<(string, string, string?, string?)>();
        foreach (var share in reading.Shares.Concat(reading.Unallocated))
        {
            var isFree = share.Pod is null;
            var isWell = (share.UsedBytes is null or (>= 0 and <= 3 * LargestDevice))
                && (share.UsableBytes is null or (> 0 and <= 3 * LargestDevice))
                && (share.Utilisation is null or (>= 0 and <= 1))
                && share.SampledAt <= GpuSweep.Now
                && share.SampledAt >= GpuSweep.Now - GpuSweep.StaleAfter
                && share.Device.Length > 0
                && isFree == (share.Namespace is null)
                && holders.Add((share.Device, share.Instance, share.Namespace, share.Pod))
                && (devices.Add((share.Device, share.Instance)) || !isFree);
            if (!isWell)
            {
                isWell.Should().BeTrue("of {0}", share);
            }
        }

        (reading.Shares.All(static share => share.Pod is not null) && reading.Unallocated.All(static share => share.Pod is null)).Should().BeTrue();
    }
}
