using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Wire;

/// <summary>Where our Metadata could come to differ from the package it stands in for.</summary>
public class MetadataTypeTests
{
    [Fact]
    public void Names_are_lower_case_and_the_last_value_counts()
    {
        var metadata = new Metadata { { "A-Key", "1" }, { "a-key", "2" } };

        metadata.Should().OnlyContain(entry => entry.Key == "a-key");
        metadata.GetValue("A-KEY").Should().Be("2");
        metadata.GetAll("a-key").Should().HaveCount(2);
        metadata.Get("other").Should().BeNull();
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("a:b")]
    [InlineData("ä")]
    [InlineData("a-bin")]
    public void Wrong_names_for_text_are_refused(string key)
    {
        var act = () => new Metadata.Entry(key, "text");

        act.Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Bytes_need_a_binary_name_and_are_copied()
    {
        byte[] bytes = [1];
        var entry = new Metadata.Entry("a-bin", bytes);
        bytes[0] = 2;

        entry.ValueBytes.Should().Equal(1);
        entry.Invoking(it => it.Value).Should().Throw<InvalidOperationException>();
        FluentActions.Invoking(() => new Metadata.Entry("a", bytes)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void The_empty_metadata_stays_empty() =>
        FluentActions.Invoking(() => Metadata.Empty.Add("a", "b")).Should().Throw<InvalidOperationException>();
}
