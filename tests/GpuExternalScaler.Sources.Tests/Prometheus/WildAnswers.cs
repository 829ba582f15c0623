using System.Text;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

/// <summary>Bytes that no Prometheus sends.</summary>
internal static class WildAnswers
{
    private static readonly byte[][] Bodies =
    [
        """{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","pod":"a\"\u00e9"},"value":[1795345652.113,"1"]},{"metric":{},"value":[1,"NaN"]},{"metric":{"a":"b"},"histogram":[1,{"count":"1","buckets":[[0,"1","2","3"]]}]}]},"warnings":["w"],"infos":["i"],"isPartial":false}"""u8.ToArray(),
        """{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"a"},"values":[[1,"1"],[2,"+Inf"],[3.5,"-2e-3"]],"histograms":[[1,{"count":"1"}]]}]}}"""u8.ToArray(),
        """{"data":{"result":[1795345652.113,"4.25"],"resultType":"scalar"},"status":"success"}"""u8.ToArray(),
        """{"status":"success","data":{"resultType":"string","result":[1795345652.113,"a\nb"]}}"""u8.ToArray(),
        """{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:16: parse error: unexpected"}"""u8.ToArray(),
    ];

    private static readonly byte[][] Words =
    [
        .. "\"metric\":|\"value\":|\"values\":|\"result\":|\"resultType\":|\"data\":|\"status\":|\"histogram\":|[|]|{|}|,|:|\"|null|true|1e999|-0|\\ud800|\\u0000|[[[[[[[[|}}}}|\"vector\"|\"matrix\"|\"scalar\"|\"string\"|1:1: parse error"
            .Split('|').Select(Encoding.UTF8.GetBytes),
        [0xFF, 0xFE], [0xED, 0xA0, 0x80], [0xC3], [0],
    ];

#pragma warning disable CA5394 // Repeatable is what it has to be.
    /// <summary>One answer: seldom noise, else a good one, spoilt.</summary>
    public static byte[] Next(Random random) => random.Next(20) == 0 ? Noise(random) : Mutated(random);

    public static byte[] Mutated(Random random) => Mutate(random, Bodies[random.Next(Bodies.Length)]);

    public static byte[] Noise(Random random)
    {
        var body = new byte[random.Next(2000)];
        random.NextBytes(body);
        if (body.Length > 0 && random.Next(2) == 0)
        {
            body[0] = (byte)'{';
        }

        return body;
    }

    public static byte[] Mutate(Random random, byte[] whole)
    {
        var body = new List<byte>(whole);
        for (var edits = random.Next(1, 6); edits > 0; edits--)
        {
            var at = random.Next(body.Count + 1);
            switch (random.Next(6))
            {
                case 0:
                    body.Insert(at, (byte)random.Next(256));
                    break;
                case 1 when at < body.Count:
                    body[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    body.RemoveRange(at, Math.Min(random.Next(20), body.Count - at));
                    break;
                case 3:
                    body.InsertRange(at, Words[random.Next(Words.Length)]);
                    break;
                case 4:
                    // A part once more, many times over: what grows with the number of series shows.
                    var from = random.Next(body.Count + 1);
                    var part = body.GetRange(from, Math.Min(random.Next(80), body.Count - from));
                    for (var times = random.Next(1, 30); times > 0; times--)
                    {
                        body.InsertRange(Math.Min(at, body.Count), part);
                    }

                    break;
                default:
                    body.RemoveRange(at, body.Count - at);
                    break;
            }
        }

        return [.. body];
    }
#pragma warning restore CA5394
}
