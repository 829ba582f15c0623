using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

public class QueueInterestTests
{
    [Fact]
    public void Everyone_has_a_turn_and_nobody_two_before_the_others()
    {
        var interest = new QueueInterest();
        Watch(interest, "a", "b", "c", "d", "e");

        Take(interest, 2).Should().Equal("a", "b");
        Take(interest, 2).Should().Equal("c", "d");
        Take(interest, 2).Should().Equal("e", "a");
        Take(interest, 10).Should().Equal("b", "c", "d", "e", "a");
    }

    [Fact]
    public void A_queue_counts_once_and_a_watch_lasts_until_the_next_is_published()
    {
        var interest = new QueueInterest();
        Watch(interest, "a", "b", "a");
        Take(interest, 10).Should().Equal("a", "b");

        interest.Watch(new QueueName("/", "c"));
        Take(interest, 10).Should().Equal(["a", "b"], "nothing was published yet");
        interest.PublishWatch();
        Take(interest, 10).Should().Equal("c");
        interest.PublishWatch();
        Take(interest, 10).Should().BeEmpty();
        Watch(interest, "a");
        Take(interest, 10).Should().Equal("a");
    }

    [Fact]
    public void Telling_the_same_again_allocates_nothing()
    {
        var interest = new QueueInterest();
        var names = Enumerable.Range(0, 300).Select(static i => $"q{i}").ToArray();
        var taken = new List<QueueName>(512);
        for (var i = 0; i < 3; i++)
        {
            Watch(interest, names);
            interest.TakeWatched(256, taken);
            taken.Clear();
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        Watch(interest, names);
        interest.TakeWatched(256, taken);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(1024);
    }

    [Fact]
    public void Those_that_cannot_be_asked_for_take_nobodys_place()
    {
        var interest = new QueueInterest();
        Watch(interest, "gone1", "gone2", "a", "gone3", "b", "c");
        var taken = new List<QueueName>();

        interest.TakeWatched(2, taken, static queue => !queue.Name.StartsWith("gone", StringComparison.Ordinal));
        taken.Select(static queue => queue.Name).Should().Equal("a", "b");

        Take(interest, 2).Should().Equal(["c", "gone1"], "once they can be, they have their turn");
    }

    private static void Watch(QueueInterest interest, params string[] queues)
    {
        foreach (var queue in queues)
        {
            interest.Watch(new QueueName("/", queue));
        }

        interest.PublishWatch();
    }

    private static IEnumerable<string> Take(QueueInterest interest, int most)
    {
        var taken = new List<QueueName>();
        interest.TakeWatched(most, taken);
        return taken.Select(static queue => queue.Name);
    }
}
