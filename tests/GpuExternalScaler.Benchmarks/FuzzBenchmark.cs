using System.Text;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.Tests.Gpu;
using GpuExternalScaler.Sources.Tests.Prometheus;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// What no server sends, by the hundred megabytes: random and mutated input, and floods as large as is accepted, beside input that is
/// in order. The tests of the same input say what must hold; here it is how fast, in how much memory.
/// </summary>
internal static class FuzzBenchmark
{
    private const int LargestPage = 16 * 1024 * 1024;
    private const int LargestAnswer = 64 * 1024 * 1024;
    private static readonly DateTimeOffset Now = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan StaleAfter = TimeSpan.FromSeconds(90);

    private static readonly (string Name, string Start, string Part)[] PageFloods =
    [
        ("one line", "DCGM_FI_DEV_FB_USED{UUID=\"", "a"),
        ("one line of labels", "DCGM_FI_DEV_FB_USED{", "a=\"b\","),
        ("one line of known labels", "DCGM_FI_DEV_FB_USED{", "pod=\"b\","),
        ("escapes", "DCGM_FI_DEV_FB_USED{pod=\"", "\\\\"),
        ("escapes in order", "", "DCGM_FI_DEV_FB_USED{UUID=\"\\\\\\\"\\n\"} 1\n"),
        ("blanks", "DCGM_FI_DEV_FB_USED", " "),
        ("line feeds", "", "\n"),
        ("braces", "", "{"),
        ("shortest samples", "", "a 1\n"),
        ("samples of one device", "", "DCGM_FI_DEV_FB_USED{UUID=\"a\"} 1\n"),
        ("samples without a device", "", "DCGM_FI_DEV_FB_USED 1\n"),
        ("digits", "DCGM_FI_DEV_FB_USED{UUID=\"a\"} ", "9"),
        ("devices", "", "DCGM_FI_DEV_FB_USED{UUID=\"#\"} 1\n"),
        ("pods of one device", "", "DCGM_FI_DEV_FB_USED{UUID=\"a\",namespace=\"ml\",pod=\"#\"} 1\n"),
        ("containers of one pod", "", "hami_vgpu_memory_used_bytes{device_uuid=\"a\",namespace=\"ml\",pod=\"p\",container=\"#\"} 1\n"),
        ("servers", "", "vllm:num_requests_waiting{model_name=\"#\"} 1\n"),
    ];

    private static readonly (string Name, string Start, string Part)[] AnswerFloods =
    [
        ("series", Vector, "{\"metric\":{\"pod\":\"#\"},\"value\":[1,\"2\"]},"),
        ("empty series", Vector, "{},"),
        ("labels of a series", Vector + "{\"metric\":{", "\"l#\":\"v\","),
        ("a label", Vector + "{\"metric\":{\"pod\":\"", "a"),
        ("escapes", Vector + "{\"metric\":{\"pod\":\"", "\\u00e9"),
        ("brackets", Vector, "["),
        ("digits", Vector + "{\"metric\":{},\"value\":[1,\"", "9"),
        ("warnings", "{\"status\":\"success\",\"warnings\":[", "\"w\","),
        ("points", "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[", "[1,\"2\"],"),
        ("unknown keys", "{", "\"k#\":1,"),
        ("an error's text", "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"", "x"),
        ("blanks", "", " "),
    ];

    private const string Vector = """{"status":"success","data":{"resultType":"vector","result":[""";

    public static Task RunAsync(Arguments arguments)
    {
        var (budget, seed) = (arguments.Number("megabytes", 100) * 1024L * 1024, arguments.Number("seed", 1));
        var report = new Report("fuzz", arguments.Folder);
        var shape = new FleetShape(250, 8, 1200, 4, Churn: 0);
        var inOrder = Enumerable.Range(0, shape.Exporters).Select(exporter => shape.GpuPage(exporter, 1)).ToArray();
        var captures = WildPages.Captures(Path.Combine(Repository.Root, "tests", "GpuExternalScaler.Sources.Tests", "Gpu", "Data"));
        captures = [.. captures, .. WildPages.Captures(Path.Combine(Repository.Root, "tests", "GpuExternalScaler.Sources.Tests", "ModelServers", "Data"))];

        var next = 0;
        var pages = new Pages();
        Probe(report, "pages in order", budget, () => inOrder[next++ % inOrder.Length], pages.Take, atOnce: 32);
        var random = new Random(seed);
        Probe(report, "wild pages", budget, () => WildPages.Next(random, captures), pages.Take, atOnce: 32);
        foreach (var (name, start, part) in PageFloods)
        {
            Probe(report, "pages: " + name, LargestPage, () => Flood(start, part, LargestPage), new Pages().Take, atOnce: 1);
        }

        var answers = Answer(shape.Gpus);
        Probe(report, "answers in order", budget, () => answers, Read, atOnce: 1);
        Probe(report, "wild answers", budget, () => WildAnswers.Next(random), Read, atOnce: 32);
        foreach (var (name, start, part) in AnswerFloods)
        {
            Probe(report, "answers: " + name, LargestAnswer, () => Flood(start, part, LargestAnswer), Read, atOnce: 1);
        }

        report.Note($"seed {seed}; wild input is what the tests read less of; floods are one piece each, as large as is accepted; \"in order\" is the baseline of speed");
        report.Note($"a page is read once for each of {Enum.GetValues<GpuKind>().Length} kinds of exporter and once for model servers, and its pods are followed: for the speed of one, multiply");
        report.Note("allocated: at most, in one go, beyond the input; held: the heap after a collection, at most, beyond what there was before");
        report.Finish();
        return Task.CompletedTask;
    }

    /// <summary>Reads until the budget is spent; input is made outside of what is measured.</summary>
    private static void Probe(Report report, string what, long budget, Func<byte[]> make, Action<byte[]> read, int atOnce)
    {
        // Held by nobody, and read by what is warm.
        var before = Machine.Held();
        var (bytes, pieces, exceptions, longest, allocated, held) = (0L, 0, 0, TimeSpan.Zero, 0L, 0L);
        var cpu = TimeSpan.Zero;
        for (var round = 0; bytes < budget; round++)
        {
            var batch = Enumerable.Range(0, atOnce).Select(_ => make()).ToArray();
            foreach (var piece in batch)
            {
                var (took, bytesTaken) = Machine.OnThisThread(() =>
                {
#pragma warning disable CA1031 // Counting them is what this is for.
                    try
                    {
                        read(piece);
                    }
                    catch (Exception e)
#pragma warning restore CA1031
                    {
                        exceptions++;
                        Console.WriteLine(e);
                    }
                });
                cpu += took;
                longest = took > longest ? took : longest;
                allocated = Math.Max(allocated, bytesTaken);
                bytes += piece.Length;
                pieces++;
            }

            if (round % 64 == 0)
            {
                held = Math.Max(held, Machine.Held() - before - batch.Sum(static piece => (long)piece.Length));
            }
        }

        report.Row(
            ("input", what), ("pieces", pieces), ("MB", bytes / 1024.0 / 1024), ("MB/s", bytes / 1024.0 / 1024 / cpu.TotalSeconds),
            ("exceptions", exceptions), ("longest ms", longest.TotalMilliseconds), ("allocated MB", allocated / 1024.0 / 1024), ("held MB", held / 1024.0 / 1024));
    }

    private static void Read(byte[] body)
    {
        var options = new PrometheusConnectionOptions { Name = "main", Url = new Uri("http://127.0.0.1") };
        if (PrometheusResultReader.Read(body, options.MaxSeries, options.MaxPoints, out var result) == SourceReason.None)
        {
            _ = SampleAges.Join(result!);
        }

        _ = PrometheusError.Read(body.AsSpan(0, Math.Min(body.Length, PrometheusError.LargestBytes)));
    }

    private static byte[] Answer(int series) => Encoding.ASCII.GetBytes(
        $"{Vector}{string.Join(',', Enumerable.Range(0, series).Select(static i => $$$"""{"metric":{"UUID":"GPU-{{{i}}}","exported_namespace":"team-1","exported_pod":"model-{{{i}}}-7d4b9c6f5d-x7k2p"},"value":[1795345652.113,"{{{i}}}"]}"""))}]}}}}");

    /// <summary>Something many times over; a number sign in it counts.</summary>
    private static byte[] Flood(string start, string part, int length)
    {
        var (first, second) = part.IndexOf('#', StringComparison.Ordinal) is var at and >= 0 ? (part[..at], part[(at + 1)..]) : (part, null);
        var flood = new byte[length];
        var position = Encoding.ASCII.GetBytes(start, flood);
        Span<byte> one = stackalloc byte[256];
        for (var i = 0; position < length; i++)
        {
            var written = Encoding.ASCII.GetBytes(first, one);
            if (second is not null)
            {
                i.TryFormat(one[written..], out var digits, provider: System.Globalization.CultureInfo.InvariantCulture);
                written += digits;
                written += Encoding.ASCII.GetBytes(second, one[written..]);
            }

            written = Math.Min(written, length - position);
            one[..written].CopyTo(flood.AsSpan(position));
            position += written;
        }

        return flood;
    }

    /// <summary>Whoever reads pages: each piece is a sweep.</summary>
    private sealed class Pages
    {
        private readonly GpuSampleReader[] _gpus = [.. Enum.GetValues<GpuKind>().Select(static kind => new GpuSampleReader(StaleAfter, kind))];
        private readonly ModelServerSampleReader _servers = new(StaleAfter);
        private readonly PodMemoryTracker _tracker = new(PodSelector.ForPattern("ml", ".*")!);
        private long _version;

        public void Take(byte[] page)
        {
            foreach (var reader in _gpus)
            {
                reader.Begin(Now);
                reader.TakePage(page, "n1:9400");
                _tracker.Follow(AcceleratorFleet.Of(reader.Finish(), Now, isPartial: false, ++_version), null, Now, StaleAfter, TimeSpan.Zero);
            }

            _servers.Begin(Now);
            _servers.TakePage(page, "ml", "p", "n1:8000");
            _ = _servers.Finish();
        }
    }
}
