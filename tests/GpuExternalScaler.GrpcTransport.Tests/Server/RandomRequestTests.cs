using System.Net;
using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

public class RandomRequestTests
{
    private static readonly string[] Methods = ["Unary", "ServerStream", "ClientStream", "Duplex", "Missing"];

    /// <summary>Noise, and requests that are right but for a byte or two.</summary>
    private static readonly Gen<byte[]> Body = Gen.OneOf(
        ArbMap.Default.GeneratorFor<byte[]>(),
        from flag in Gen.Elements<byte>(0, 0, 0, 1, 2)
        from payload in ArbMap.Default.GeneratorFor<byte[]>()
        from slack in Gen.Elements(0, 0, 0, -1, 1, 1000, int.MaxValue)
        select (byte[])[.. Frames.Prefix(flag, (uint)payload.Length + (uint)slack), .. payload],
        from text in ArbMap.Default.GeneratorFor<string>()
        from zipped in ArbMap.Default.GeneratorFor<bool>()
        let payload = new EchoRequest { Text = text ?? "", Repeat = 2 }.ToByteArray()
        from copies in Gen.Choose(1, 3)
        let frame = zipped ? Frames.Of(Frames.Gzip(payload), flag: 1) : Frames.Of(payload)
        from cut in Gen.Choose(0, frame.Length)
        select (byte[])[.. Enumerable.Repeat(frame, copies).SelectMany(bytes => bytes), .. frame[..cut]]);

    private static readonly Gen<(string Method, byte[] Body, bool Gzip)> Request =
        from method in Gen.Elements(Methods)
        from body in Body
        from gzip in ArbMap.Default.GeneratorFor<bool>()
        select (method, body, gzip);

    [Fact]
    public async Task Any_bytes_get_a_well_formed_status_and_the_server_lives_on()
    {
        await using var server = await EchoServer.StartAsync();

        Prop.ForAll(Request.ToArbitrary(), request => IsAnsweredWell(server, request.Method, request.Body, request.Gzip))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(500));

        (await server.Client.UnaryAsync(new EchoRequest { Text = "x" })).Text.Should().Be("x");
        server.Log.Errors.Should().BeEmpty();
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == server.Observer.Started, "no call is left");
    }

    private static bool IsAnsweredWell(EchoServer server, string method, byte[] body, bool gzip)
    {
        (string, string)[] headers = gzip ? [("grpc-encoding", "gzip")] : [];
        var reply = Task.Run(() => server.PostAsync($"/test.echo.v1.Echo/{method}", body, headers)).GetAwaiter().GetResult();
        return reply.HttpStatus == HttpStatusCode.OK &&
            reply.GrpcStatus is 0 or 8 or 12 or 13 &&
            reply.Headers["content-type"].Single() == "application/grpc" &&
            (reply.GrpcStatus == 0 || reply.GrpcMessage.Length > 0);
    }
}
