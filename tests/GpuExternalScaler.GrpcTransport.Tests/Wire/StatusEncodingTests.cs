using System.Text;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Wire;

public class StatusEncodingTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("plain text, ~ and !", "plain text, ~ and !")]
    [InlineData("100%", "100%25")]
    [InlineData("a\r\nb", "a%0D%0Ab")]
    [InlineData("ü", "%C3%BC")]
    [InlineData("😀", "%F0%9F%98%80")]
    [InlineData("\u007F", "%7F")]
    [InlineData(" a ", "%20a%20")]
    public void Messages_are_percent_encoded_UTF8(string message, string expected) =>
        StatusEncoding.Encode(message).Should().Be(expected);

    [Theory]
    [InlineData("%", "%")]
    [InlineData("%4", "%4")]
    [InlineData("%zz", "%zz")]
    [InlineData("%41%", "A%")]
    [InlineData("%c3%bc", "ü")]
    [InlineData("ü%21", "ü!")]
    [InlineData("%FF", "\uFFFD")]
    public void Decoding_never_fails(string encoded, string expected) =>
        StatusEncoding.Decode(encoded).Should().Be(expected);

    [Fact]
    public void Any_message_survives_the_round_trip_as_a_valid_header() =>
        Prop.ForAll(
            ArbMap.Default.ArbFor<string>(),
            text =>
            {
                // Lone surrogates are no Unicode; the encoder replaces them, as this does.
                var message = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));
                var encoded = StatusEncoding.Encode(message);
                return encoded.All(c => c is >= ' ' and <= '~') && encoded == encoded.Trim() &&
                    StatusEncoding.Decode(encoded) == message;
            }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("0", StatusCode.OK)]
    [InlineData("16", StatusCode.Unauthenticated)]
    [InlineData("17", StatusCode.Unknown)]
    [InlineData("-1", StatusCode.Unknown)]
    [InlineData("", StatusCode.Unknown)]
    [InlineData(null, StatusCode.Unknown)]
    public void Codes_are_read(string? text, StatusCode expected) => StatusEncoding.ParseCode(text).Should().Be(expected);

    [Fact]
    public void Codes_outside_the_specification_are_sent_as_UNKNOWN() =>
        StatusEncoding.CodeText((StatusCode)99).Should().Be("2");
}
