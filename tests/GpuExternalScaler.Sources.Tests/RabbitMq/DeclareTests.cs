using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.Sources.RabbitMq;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>Passes of declares against a broker that does what no real one can be made to do at the right moment.</summary>
public class DeclareTests
{
    private static readonly RabbitMqConnectionOptions Options = BrokerHarness.AmqpOnly;
    private readonly FakeBroker _broker = new();
    private readonly ShiftedTime _time = new();
    private readonly QueueInterest _interest = new();

    [Theory]
    [InlineData(404, "NOT_FOUND - no queue 'q' in vhost '/'", DeclareResult.NoSuchQueue)]
    [InlineData(404, "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible", DeclareResult.Unreachable)]
    [InlineData(404, "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor", DeclareResult.Unreachable)]
    [InlineData(404, "", DeclareResult.Unreachable)]
    [InlineData(403, "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'u'", DeclareResult.Refused)]
    [InlineData(405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'", DeclareResult.Unreachable)]
    [InlineData(320, "CONNECTION_FORCED - broker forced connection closure", DeclareResult.Lost)]
    internal void What_the_broker_says_when_it_closes_a_channel(ushort code, string text, DeclareResult result)
    {
        AmqpChannel.Classify(new ShutdownEventArgs(ShutdownInitiator.Peer, code, text)).Should().Be(result);
        AmqpChannel.Classify(new ShutdownEventArgs(ShutdownInitiator.Library, code, text)).Should().Be(DeclareResult.Lost);
    }

    [Fact]
    public async Task A_refused_queue_costs_its_channel_and_no_other_queue()
    {

        var reader = Reader();
        Want(Enumerable.Range(0, 100).Select(static i => i % 10 == 0 ? "gone" + i : "q" + i));
        _broker.Answer = queue => new DeclareAnswer(queue.StartsWith("gone", StringComparison.Ordinal) ? DeclareResult.NoSuchQueue : DeclareResult.Found, 1, 1);

        var pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);

        pass.Outcomes.Should().HaveCount(100);
        pass.Outcomes.Count(static one => one.Answer.Result == DeclareResult.NoSuchQueue).Should().Be(10);
        pass.Vhosts.Should().BeEmpty();
        _broker.Connections.Should().Be(1);
        _broker.MostAtOnce.Should().BeLessThanOrEqualTo(VhostDeclarer.Channels);

        // Channels are used again; queues that are not there are asked for at once again, and then only every ten seconds.
        var channels = _broker.Channels;
        _time.Shift(TimeSpan.FromSeconds(1));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Outcomes.Should().HaveCount(10);
        _time.Shift(TimeSpan.FromSeconds(3));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Outcomes.Should().HaveCount(90);
        _broker.Channels.Should().BeLessThanOrEqualTo(Math.Max(channels, VhostDeclarer.Channels + 10) + 10);
        _time.Shift(TimeSpan.FromSeconds(8));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Outcomes.Should().HaveCount(100);
    }

    [Fact]
    public async Task A_silent_broker_ends_the_pass_in_time_and_the_connection_with_it()
    {
        _broker.IsSilent = true;
        var reader = Reader();
        Want(Enumerable.Range(0, 1000).Select(static i => $"q{i}"));
        var began = TimeProvider.System.GetTimestamp();

        var pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);

        TimeProvider.System.GetElapsedTime(began).Should().BeLessThan(AmqpReader.PassLimit + AmqpReader.DeclareTimeout + TimeSpan.FromSeconds(1));
        pass.Outcomes.Should().OnlyContain(static one => one.Answer.Result == DeclareResult.TimedOut);
        pass.Vhosts.Values.Should().Equal(SourceReason.Timeout);
        pass.IsConnected.Should().BeFalse();
        _broker.Abandoned.Should().Be(1);

        // Not again at once, ever more rarely, and everything is well once it speaks.
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Outcomes.Should().BeEmpty();
        _broker.Connections.Should().Be(1);
        _broker.IsSilent = false;
        _time.Shift(TimeSpan.FromSeconds(3));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Should().BeEquivalentTo(new { IsConnected = true, Vhosts = new Dictionary<string, SourceReason>() });
        _broker.Connections.Should().Be(2);
    }

    [Fact]
    public async Task One_queue_that_never_answers_holds_up_no_other_and_is_not_asked_again_meanwhile()
    {
        var reader = Reader();
        Want(["stuck", "a", "b"]);
        _broker.Stuck = "stuck";

        var pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);
        pass.Outcomes.Count(static one => one.Answer.Result == DeclareResult.Found).Should().Be(2);
        pass.IsConnected.Should().BeTrue();
        _time.Shift(TimeSpan.FromSeconds(3));
        await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);
        _broker.Asked["stuck"].Should().Be(1);
        _broker.Connections.Should().Be(1);
        _broker.AbandonedChannels.Should().Be(0, "its number must not be used again while the broker still works on it");

        _broker.Release();
        await Until(() => _broker.AbandonedChannels == 1);
        _time.Shift(TimeSpan.FromSeconds(3));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Outcomes.Should().OnlyContain(static one => one.Answer.Result == DeclareResult.Found);
    }

    [Fact]
    public async Task A_lost_connection_is_made_anew_ever_more_rarely()
    {
        var reader = Reader();
        Want(["a"]);
        _broker.Refusal = SourceReason.ConnectionRefused;
        var attempts = new List<int>();
        for (var second = 0; second < 40; second++)
        {
            var pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
            pass.Vhosts.Values.Should().Equal(SourceReason.ConnectionRefused);
            if (_broker.Attempts > attempts.Count)
            {
                attempts.Add(second);
            }

            _time.Shift(TimeSpan.FromSeconds(1));
        }

        attempts.Should().Equal(0, 1, 3, 7, 15, 31);
        _broker.Refusal = SourceReason.None;
        _time.Shift(TimeSpan.FromSeconds(30));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None)).Outcomes.Should().ContainSingle();
    }

    [Fact]
    public async Task Only_configured_virtual_hosts_are_entered_and_otherwise_not_more_than_a_few()
    {
        var configured = Reader(Options with { Vhosts = ["/", "b"] });
        _interest.Wanted = [new QueueName("/", "q"), new QueueName("b", "q"), new QueueName("c", "q")];
        var pass = await configured.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
        pass.Outcomes.Select(static one => one.Queue.Vhost).Should().BeEquivalentTo("/", "b");
        _broker.Vhosts.Should().BeEquivalentTo("/", "b");

        _broker.Vhosts.Clear();
        var any = Reader();
        _interest.Wanted = [.. Enumerable.Range(0, 100).Select(static i => new QueueName($"v{i}", "q"))];
        await any.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
        _broker.Vhosts.Should().HaveCount(VhostPool.Most);
    }

    [Fact]
    public async Task Names_that_no_queue_can_have_are_not_put_on_the_wire()
    {
        _interest.Wanted =
        [
            new QueueName("/", ""), new QueueName("/", new string('é', 128)), new QueueName("", "q"), new QueueName(new string('v', 256), "q"),
            new QueueName("/", new string('q', 255)),
        ];
        var pass = await Reader().DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
        pass.Outcomes.Should().ContainSingle();
        _broker.Vhosts.Should().Equal("/");
    }

    [Fact]
    public async Task A_second_has_no_more_than_256_watched_queues_and_all_have_their_turn()
    {
        var reader = Reader();
        var names = Enumerable.Range(0, 600).Select(static i => $"q{i}").ToList();
        foreach (var name in names)
        {
            _interest.Watch(new QueueName("/", name));
        }

        _interest.PublishWatch();
        for (var i = 0; i < 3; i++)
        {
            (await reader.DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None)).Asked.Should().Be(256);
            _time.Shift(TimeSpan.FromSeconds(1));
        }

        _broker.Asked.Keys.Should().BeEquivalentTo(names);
    }

    [Fact]
    public async Task Many_wanted_queues_take_turns_and_those_worth_watching_do_not_wait()
    {
        const int count = 10_000;
        var reader = Reader();
        Want(Enumerable.Range(0, count).Select(static i => $"q{i}"));
        _interest.Watch(new QueueName("/", "q9999"));
        _interest.PublishWatch();
        (await reader.DeclareAsync(false, TimeSpan.FromSeconds(2), CancellationToken.None)).Rotation.Should().Be(TimeSpan.Zero);
        _time.Shift(TimeSpan.FromSeconds(1));
        _broker.Asked.Clear();
        var passes = 0;
        TimeSpan rotation = default;
        do
        {
            _interest.Watch(new QueueName("/", "q9999"));
            _interest.PublishWatch();
            var pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);
            pass.Outcomes.Count.Should().BeInRange(1, AmqpReader.MostPerSecond);
            rotation = pass.Rotation;
            rotation.Should().BeLessThan(TimeSpan.FromSeconds(10));
            passes++;
            _time.Shift(TimeSpan.FromSeconds(1));
        }
        while (_broker.Asked.Count < count);

        passes.Should().Be(7);
        rotation.Should().BeGreaterThanOrEqualTo(TimeSpan.FromSeconds(6));
        _broker.Asked["q9999"].Should().Be(7);
        _broker.Asked.Where(static pair => pair.Key != "q9999").Should().OnlyContain(static pair => pair.Value == 1, "nobody has two turns before all have one");

        // Fewer are no longer waited for.
        Want(["q1"]);
        _time.Shift(TimeSpan.FromSeconds(2));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Rotation.Should().Be(TimeSpan.FromSeconds(2));
    }

    [Fact]
    public async Task With_nothing_to_ask_for_the_broker_is_still_reached()
    {
        var pass = await Reader().DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
        pass.Should().BeEquivalentTo(new { Asked = 0, IsConnected = true });
        _broker.Vhosts.Should().Equal("/");
    }

    [Fact]
    public async Task Virtual_hosts_that_are_not_there_take_no_place_from_those_that_are()
    {
        var reader = Reader();
        _broker.Closed = static vhost => vhost.StartsWith("bad", StringComparison.Ordinal);
        _interest.Wanted = [.. Enumerable.Range(0, 100).Select(static i => new QueueName($"bad{i}", "q")), new QueueName("good", "q")];
        var passes = 0;
        DeclarePass pass;
        do
        {
            pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
            pass.IsConnected.Should().BeTrue("the broker takes the user");
            _time.Shift(TimeSpan.FromSeconds(1));
            passes++;
        }
        while (pass.Outcomes.Count == 0);

        passes.Should().BeLessThanOrEqualTo(5);
        var attempts = _broker.Attempts;
        for (var i = 0; i < 30; i++)
        {
            pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
            pass.Outcomes.Select(static one => one.Queue.Vhost).Should().Equal("good");
            pass.Vhosts.Keys.Should().NotContain("good").And.HaveCount(100);
            pass.Vhosts.Values.Should().OnlyContain(static reason => reason == SourceReason.NotFound);
            _time.Shift(TimeSpan.FromSeconds(1));
        }

        (_broker.Attempts - attempts).Should().BeLessThanOrEqualTo(30 * VhostPool.MostRetries);

        // Those that are made meanwhile are entered, while there is room.
        _broker.Closed = static _ => false;
        for (var i = 0; i < 31; i++)
        {
            pass = await reader.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
            _time.Shift(TimeSpan.FromSeconds(1));
        }

        pass.Outcomes.Should().HaveCount(VhostPool.Most);
        pass.Outcomes.Should().Contain(static one => one.Queue.Vhost == "good");
        _broker.Vhosts.Should().HaveCount(VhostPool.Most);
    }

    [Fact]
    public async Task Watched_queues_of_virtual_hosts_that_may_not_be_used_take_nobodys_turn()
    {
        var reader = Reader(Options with { Vhosts = ["/"] });
        for (var i = 0; i < 1000; i++)
        {
            _interest.Watch(new QueueName("elsewhere", $"q{i}"));
        }

        _interest.Watch(new QueueName("/", "q"));
        _interest.PublishWatch();
        (await reader.DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None)).Outcomes.Should().ContainSingle().Which.Queue.Vhost.Should().Be("/");
    }

    [Fact]
    public async Task With_nothing_to_ask_for_a_wanted_virtual_host_is_entered_before_one_that_nobody_named()
    {
        _broker.Closed = static vhost => vhost == "/";
        _interest.Wanted = [new QueueName("prod", "q")];
        var pass = await Reader().DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None);
        pass.IsConnected.Should().BeTrue();
        _broker.Vhosts.Should().Equal("prod");

        // Nobody wants any: that the default one is closed to us is nobody's fault, and shows that the broker is there.
        _interest.Wanted = [];
        var reader = Reader();
        for (var i = 0; i < 5; i++)
        {
            pass = await reader.DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None);
            pass.Should().BeEquivalentTo(new { IsConnected = true, Vhosts = new Dictionary<string, SourceReason>() });
            _time.Shift(TimeSpan.FromSeconds(1));
        }

        // Configured it is one.
        pass = await Reader(Options with { Vhosts = ["/"] }).DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None);
        pass.IsConnected.Should().BeFalse();
        pass.Vhosts.Should().Contain("/", SourceReason.NotFound);
    }

    [Fact]
    public async Task A_broker_that_takes_no_more_connections_is_not_reached()
    {
        _broker.Refusal = SourceReason.LimitReached;
        var pass = await Reader().DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None);
        pass.IsConnected.Should().BeFalse();
        var harness = new BrokerHarness(Options);
        harness.Declare(pass).Should().BeEquivalentTo(new { Succeeded = false, Reason = SourceReason.LimitReached });
        harness.Current.HasSwept.Should().BeFalse();
        harness.Current.Fault!.Sentence.Should().Contain("takes no more connections");
    }

    [Fact]
    public async Task A_404_is_asked_about_again_at_once_unless_the_one_before_is_recent()
    {
        var reader = Reader();
        Want(["q"]);
        _broker.Answer = static _ => new DeclareAnswer(DeclareResult.NoSuchQueue);
        await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);
        _broker.Answer = static _ => new DeclareAnswer(DeclareResult.TimedOut);
        foreach (var seconds in new[] { 1, 11 })
        {
            _time.Shift(TimeSpan.FromSeconds(seconds));
            await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);
        }

        _broker.Answer = static _ => new DeclareAnswer(DeclareResult.NoSuchQueue);
        for (var i = 0; i < 2; i++)
        {
            _time.Shift(TimeSpan.FromSeconds(3));
            (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Outcomes.Should().ContainSingle();
        }

        _time.Shift(TimeSpan.FromSeconds(3));
        (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Outcomes.Should().BeEmpty();
    }

    [Fact]
    public async Task Watched_queues_leave_time_for_the_others_of_a_slow_broker()
    {
        // 50 ms each: 100 in a pass, fewer than are watched.
        var reader = Reader();
        var names = Enumerable.Range(0, 1000).Select(static i => $"q{i}").ToList();
        Want(names);
        _broker.Answer = _ =>
        {
            lock (_time)
            {
                _time.Shift(TimeSpan.FromMilliseconds(50));
            }

            return new DeclareAnswer(DeclareResult.Found, 0, 0);
        };
        for (var pass = 0; pass < 25; pass++)
        {
            foreach (var name in names.TakeLast(200))
            {
                _interest.Watch(new QueueName("/", name));
            }

            _interest.PublishWatch();
            await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None);
        }

        _broker.Asked.Keys.Should().BeEquivalentTo(names);
    }

    [Fact]
    public async Task With_nothing_to_ask_for_a_broker_that_has_fallen_silent_is_noticed()
    {
        var reader = Reader();
        (await reader.DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None)).IsConnected.Should().BeTrue();
        _broker.GivesNoChannel = true;
        _time.Shift(TimeSpan.FromSeconds(1));
        (await reader.DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None)).IsConnected.Should().BeTrue("it was asked a moment ago");
        _time.Shift(VhostDeclarer.ProbeInterval);
        (await reader.DeclareAsync(false, TimeSpan.FromSeconds(1), CancellationToken.None)).Should().BeEquivalentTo(new { IsConnected = false, Vhosts = new Dictionary<string, SourceReason> { ["/"] = SourceReason.Timeout } });
    }

    [Fact]
    public void Listening_that_has_ended_is_begun_again_and_what_came_meanwhile_counts_as_lost()
    {
        var reader = Reader();
        var events = new List<ConsumerEvent>();
        reader.KeepListening(CancellationToken.None);
        reader.IsListening.Should().BeTrue();
        reader.TakeEvents(events).Should().BeTrue();
        _broker.SendEvent(new ConsumerEvent(new QueueName("/", "q"), "c", true, 1, false));

        _broker.EndListening();
        reader.KeepListening(CancellationToken.None);
        reader.IsListening.Should().BeFalse();
        reader.ListenReason.Should().Be(SourceReason.ConnectionFailed);
        reader.TakeEvents(events).Should().BeFalse();
        events.Should().ContainSingle();
        reader.TakeEvents(events).Should().BeTrue("it is said once");
        _time.Shift(TimeSpan.FromMinutes(1));
        reader.KeepListening(CancellationToken.None);
        reader.IsListening.Should().BeTrue();
        reader.ListenReason.Should().Be(SourceReason.None);
        _broker.Listens.Should().Be(2);
    }

    [Fact]
    public void An_exchange_that_goes_is_noticed_within_a_minute_and_listened_to_again_once_it_is_back()
    {
        var reader = Reader();
        for (var second = 0; second < 150; second++)
        {
            reader.KeepListening(CancellationToken.None);
            _time.Shift(TimeSpan.FromSeconds(1));
        }

        _broker.Confirms.Should().Be(2);
        _broker.Listens.Should().Be(1);
        _broker.ListenRefusal = SourceReason.NotFound;
        for (var second = 0; second < 61; second++)
        {
            reader.KeepListening(CancellationToken.None);
            _time.Shift(TimeSpan.FromSeconds(1));
        }

        reader.IsListening.Should().BeFalse();
        reader.ListenReason.Should().Be(SourceReason.NotFound);
        reader.TakeEvents([]).Should().BeFalse();
        _broker.ListenRefusal = SourceReason.None;
        for (var second = 0; second < 61; second++)
        {
            reader.KeepListening(CancellationToken.None);
            _time.Shift(TimeSpan.FromSeconds(1));
        }

        reader.IsListening.Should().BeTrue();
        reader.ListenReason.Should().Be(SourceReason.None);
        _broker.Listens.Should().BeLessThanOrEqualTo(3);
    }

    [Fact]
    public async Task A_slow_broker_does_not_make_the_round_endless()
    {
        // 25 ms each, one after another: 200 in the 5 s of a pass, fewer than the 256 that are watched.
        const int count = 300;
        var reader = Reader();
        var names = Enumerable.Range(0, count).Select(static i => $"q{i}").ToList();
        Want(names);
        _broker.Answer = _ =>
        {
            lock (_time)
            {
                _time.Shift(TimeSpan.FromMilliseconds(25));
            }

            return new DeclareAnswer(DeclareResult.Found, 0, 0);
        };
        TimeSpan rotation = default;
        for (var pass = 0; pass < 200; pass++)
        {
            foreach (var name in names)
            {
                // Where AMQP serves, unacknowledged are missing, so each queue is worth watching.
                _interest.Watch(new QueueName("/", name));
            }

            _interest.PublishWatch();
            rotation = (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Rotation;
        }

        rotation.Should().BeLessThan(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task Rotation_says_how_often_a_queue_is_really_asked()
    {
        // 15 ms each: 333 in a pass, so that 4,000 queues come round every minute.
        const int count = 4000;
        var reader = Reader();
        var names = Enumerable.Range(0, count).Select(static i => $"q{i}").ToList();
        Want(names);
        _broker.Answer = _ =>
        {
            lock (_time)
            {
                _time.Shift(TimeSpan.FromMilliseconds(15));
            }

            return new DeclareAnswer(DeclareResult.Found, 0, 0);
        };
        var longest = TimeSpan.Zero;
        for (var pass = 0; pass < 300; pass++)
        {
            foreach (var name in names)
            {
                _interest.Watch(new QueueName("/", name));
            }

            _interest.PublishWatch();
            var rotation = (await reader.DeclareAsync(true, TimeSpan.FromSeconds(2), CancellationToken.None)).Rotation;
            longest = rotation > longest ? rotation : longest;
        }

        longest.Should().BeLessThan(TimeSpan.FromSeconds(150));
    }

    [Fact]
    public async Task New_secrets_are_taken_over_beside_the_connection_in_use()
    {
        var reader = Reader();
        Want(["a"]);
        await PassAsync(reader);
        _broker.Secrets = "second";

        for (var pass = 0; pass < 3; pass++)
        {
            (await PassAsync(reader)).Should().BeEquivalentTo(new { IsConnected = true, Renewal = SourceReason.None, Outcomes = new[] { new { Queue = new QueueName("/", "a") } } });
        }

        (_broker.Connections, _broker.Abandoned).Should().Be((2, 1));
    }

    [Fact]
    public async Task Secrets_that_do_not_work_are_said_and_tried_ever_more_rarely_over_one_connection_while_the_others_serve()
    {
        var reader = Reader();
        _interest.Wanted = [new QueueName("a", "q"), new QueueName("b", "q"), new QueueName("c", "q")];
        await PassAsync(reader);
        var before = _broker.Attempts;
        _broker.Login = static secrets => secrets == "wrong" ? SourceReason.Unauthorized : SourceReason.None;
        _broker.Secrets = "wrong";
        await PassAsync(reader);
        var attempts = new List<int>();
        for (var second = 1; second < 40; second++)
        {
            var pass = await PassAsync(reader);
            pass.Should().BeEquivalentTo(new { IsConnected = true, Renewal = SourceReason.Unauthorized });
            pass.Outcomes.Select(static one => one.Answer.Result).Should().Equal(Enumerable.Repeat(DeclareResult.Found, 3));
            if (_broker.Attempts - before > attempts.Count + 1)
            {
                attempts.Add(second);
            }
        }

        attempts.Count.Should().BeInRange(3, 6, "each wait is twice the one before");
        _broker.Abandoned.Should().Be(0);

        // Others are tried at once, and the old ones need no trial.
        _broker.Secrets = "third";
        await PassAsync(reader);
        (await PassAsync(reader)).Renewal.Should().Be(SourceReason.None);
        _broker.Secrets = "wrong";
        await PassAsync(reader);
        (await PassAsync(reader)).Renewal.Should().Be(SourceReason.Unauthorized);
        _broker.Secrets = "first";
        _broker.Login = static _ => SourceReason.None;
        for (var pass = 0; pass < 10; pass++)
        {
            await PassAsync(reader);
        }

        (await PassAsync(reader)).Renewal.Should().Be(SourceReason.None);
    }

    [Fact]
    public async Task Where_there_is_no_room_for_a_second_connection_the_first_makes_room()
    {
        var reader = Reader();
        Want(["a"]);
        await PassAsync(reader);
        _broker.Login = _ => _broker.Connections > _broker.Abandoned ? SourceReason.LimitReached : SourceReason.None;
        _broker.Secrets = "second";
        for (var pass = 0; pass < 5; pass++)
        {
            await PassAsync(reader);
        }

        (await PassAsync(reader)).Should().BeEquivalentTo(new { IsConnected = true, Renewal = SourceReason.None });
        (_broker.Connections, _broker.Abandoned).Should().Be((2, 1));
    }

    [Fact]
    public async Task Of_many_virtual_hosts_all_come_to_the_new_secrets()
    {
        var reader = Reader();
        _interest.Wanted = [.. Enumerable.Range(0, 20).Select(static i => new QueueName($"v{i}", "q"))];
        await PassAsync(reader);
        _broker.Secrets = "second";
        for (var pass = 0; pass < 25; pass++)
        {
            (await PassAsync(reader)).Outcomes.Should().HaveCount(20);
        }

        (_broker.Connections, _broker.Abandoned).Should().Be((40, 20));
    }

    [Fact] // T5
    public async Task Listening_goes_over_to_new_secrets_without_losing_an_event_or_taking_one_twice()
    {
        var reader = Reader();
        var taken = new List<ConsumerEvent>();
        reader.KeepListening(CancellationToken.None);
        await PassAsync(reader);
        var first = _broker.SendEvent;
        first(Event("before", true));
        _broker.Secrets = "second";
        await SecondAsync(untilListens: 2);
        var second = _broker.SendEvent;

        first(Event("early", true));
        first(Event("both", true));
        second(Event("both", true));
        second(Event("both", false));
        first(Event("both", false));
        second(Event("late", true));
        for (var pass = 0; pass < 5; pass++)
        {
            await SecondAsync();
        }

        first(Event("too late", true));
        second(Event("after", true));
        await SecondAsync();

        taken.Should().Equal(
            Event("before", true), Event("early", true), Event("both", true), Event("both", false), Event("late", true), Event("after", true));
        reader.IsListening.Should().BeTrue();
        _broker.Listens.Should().Be(2);
        _broker.Connections.Should().Be(4, "one for declares and one for events, each twice");
        _broker.Abandoned.Should().Be(2);

        async Task SecondAsync(int untilListens = 0)
        {
            do
            {
                _time.Shift(TimeSpan.FromSeconds(1));
                reader.KeepListening(CancellationToken.None);
                reader.TakeEvents(taken).Should().BeTrue("nothing is lost");
                await PassAsync(reader);
            }
            while (_broker.Listens < untilListens);
        }
    }

    [Fact] // T5
    public async Task Events_count_as_lost_where_listening_ends_before_its_successor_takes_over()
    {
        var reader = Reader();
        reader.KeepListening(CancellationToken.None);
        await PassAsync(reader);
        var end = _broker.EndListening;
        _broker.Secrets = "second";
        while (_broker.Listens < 2)
        {
            await PassAsync(reader);
            reader.KeepListening(CancellationToken.None);
        }

        end();
        reader.KeepListening(CancellationToken.None);

        reader.IsListening.Should().BeTrue("the other listens already");
        reader.TakeEvents([]).Should().BeFalse();
        reader.TakeEvents([]).Should().BeTrue("it is said once");
    }

    [Fact]
    public async Task A_file_that_is_being_written_does_not_count_before_it_has_settled()
    {
        var file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            var secrets = new SettledSecrets(Options.Amqp! with { Username = "u", PasswordFile = file }, _time);
            (await LookAsync()).Should().BeEmpty();
            (await secrets.TakeAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.CredentialsUnreadable);
            (await LookAsync()).Should().NotBeEmpty("that it cannot be read has settled too");

            await File.WriteAllTextAsync(file, "one\n");
            await LookAsync();
            var one = await LookAsync();
            (await secrets.TakeAsync(CancellationToken.None)).Should().BeEquivalentTo(new { Reason = SourceReason.None, Password = "one", Fingerprint = one });
            await File.WriteAllTextAsync(file, "one");
            await LookAsync();
            (await LookAsync()).Should().Be(one, "the line's end is not part of it");

            // Never the same twice.
            foreach (var part in new[] { "", "t", "tw" })
            {
                await File.WriteAllTextAsync(file, part);
                (await LookAsync()).Should().Be(one);
                (await secrets.TakeAsync(CancellationToken.None)).Password.Should().Be("one");
            }

            await File.WriteAllTextAsync(file, "two");
            (await LookAsync()).Should().Be(one);
            (await LookAsync()).Should().NotBe(one);
            (await secrets.TakeAsync(CancellationToken.None)).ToString().Should().NotContain("two");

            async Task<string> LookAsync()
            {
                _time.Shift(SettledSecrets.LookInterval);
                return await secrets.LookAsync(CancellationToken.None);
            }
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task No_connection_is_left_where_the_source_ends_while_a_listener_hands_over(bool isCancelled)
    {
        var reader = Reader();
        using var stop = new CancellationTokenSource();
        var confirming = new TaskCompletionSource<SourceReason>(TaskCreationOptions.RunContinuationsAsynchronously);
        _broker.Confirm = confirming.Task.WaitAsync;
        await UntilTwoListenAsync(reader, stop.Token);

        if (isCancelled)
        {
            await stop.CancelAsync();
        }

        reader.Abandon();
        confirming.TrySetResult(SourceReason.None);

        await Until(() => _broker.All.TrueForAll(static one => !one.IsOpen));
    }

    [Fact]
    public async Task No_connection_is_left_where_the_source_ends_while_it_begins_to_listen()
    {
        var reader = Reader();
        var listening = new TaskCompletionSource<SourceReason>(TaskCreationOptions.RunContinuationsAsynchronously);
        _broker.Listen = listening.Task.WaitAsync;
        reader.KeepListening(CancellationToken.None);
        _broker.All.Should().ContainSingle().Which.IsOpen.Should().BeTrue();

        reader.Abandon();
        listening.TrySetResult(SourceReason.None);

        await Until(() => !_broker.All[0].IsOpen);
        reader.IsListening.Should().BeFalse();
    }

    [Fact]
    public async Task A_new_connection_that_has_ended_already_does_not_replace_one_that_serves()
    {
        var reader = Reader();
        Want(["a"]);
        await PassAsync(reader);
        _broker.IsBornDead = static secrets => secrets == "second";
        _broker.Secrets = "second";
        await PassAsync(reader);

        for (var pass = 0; pass < 10; pass++)
        {
            (await PassAsync(reader)).Should().BeEquivalentTo(new { IsConnected = true, Renewal = SourceReason.ConnectionFailed, Outcomes = new[] { new { Queue = new QueueName("/", "a") } } });
        }

        _broker.Attempts.Should().BeInRange(3, 6, "each wait is twice the one before");
        _broker.All.Count(static one => one.IsOpen).Should().Be(1);
    }

    [Fact]
    public async Task A_limit_that_others_fill_costs_one_connection_and_not_all()
    {
        var reader = Reader();
        _interest.Wanted = [.. Enumerable.Range(0, 8).Select(static i => new QueueName($"v{i}", "q"))];
        reader.KeepListening(CancellationToken.None);
        await PassAsync(reader);
        _broker.Login = static _ => SourceReason.LimitReached;
        foreach (var secrets in new[] { "second", "third" })
        {
            _broker.Secrets = secrets;
            for (var pass = 0; pass < 20; pass++)
            {
                (await PassAsync(reader)).Outcomes.Count.Should().BeGreaterThanOrEqualTo(7);
                reader.KeepListening(CancellationToken.None);
            }

            (await PassAsync(reader)).Renewal.Should().Be(SourceReason.LimitReached);
        }

        reader.IsListening.Should().BeTrue();
        _broker.Login = static _ => SourceReason.None;
        for (var pass = 0; pass < 60; pass++)
        {
            await PassAsync(reader);
        }

        (await PassAsync(reader)).Should().BeEquivalentTo(new { Renewal = SourceReason.None, Outcomes = Enumerable.Repeat(new { Answer = new { Result = DeclareResult.Found } }, 8) });
        _broker.All.Count(static one => one.IsOpen && one.Secrets == "third").Should().Be(8);
    }

    [Fact]
    public async Task Where_there_is_room_for_all_but_one_all_come_to_the_new_secrets()
    {
        var reader = Reader();
        _interest.Wanted = [.. Enumerable.Range(0, 8).Select(static i => new QueueName($"v{i}", "q"))];
        await PassAsync(reader);
        _broker.Login = _ => _broker.All.Count(static one => one.IsOpen) >= 8 ? SourceReason.LimitReached : SourceReason.None;
        _broker.Secrets = "second";
        for (var pass = 0; pass < 40; pass++)
        {
            (await PassAsync(reader)).Outcomes.Count.Should().BeGreaterThanOrEqualTo(7);
        }

        _broker.All.Count(static one => one.IsOpen && one.Secrets == "second").Should().Be(8);
    }

    [Fact]
    public async Task Secrets_that_failed_and_come_again_after_others_are_tried_at_once()
    {
        var reader = Reader();
        Want(["a"]);
        await PassAsync(reader);
        _broker.Login = static secrets => secrets == "second" ? SourceReason.Unauthorized : SourceReason.None;
        _broker.Secrets = "second";
        for (var pass = 0; pass < 40; pass++)
        {
            await PassAsync(reader);
        }

        _broker.Secrets = "first";
        (await PassAsync(reader)).Renewal.Should().Be(SourceReason.None);
        _broker.Login = static _ => SourceReason.None;
        _broker.Secrets = "second";
        await PassAsync(reader);
        await PassAsync(reader);

        _broker.All.Where(static one => one.IsOpen).Should().ContainSingle().Which.Secrets.Should().Be("second");
    }

    [Fact] // T5
    public void A_consumer_that_left_and_came_again_is_not_taken_for_the_first()
    {
        var events = new ConcurrentQueue<ConsumerEvent>();
        var old = new ConsumerListener(events, 100, isSuccessor: false);
        var next = new ConsumerListener(events, 100, isSuccessor: true);
        old.Remember();
        old.Take(Event("x", true));
        old.Take(Event("x", false));
        next.Take(Event("x", false));
        next.Take(Event("x", true));

        old.HandOverTo(next).Should().BeTrue();

        events.Should().Equal(Event("x", true), Event("x", false), Event("x", true));
    }

    [Fact] // T5
    public void Nodes_whose_events_come_in_another_order_each_time_lose_none_and_have_none_taken_twice()
    {
        var events = new ConcurrentQueue<ConsumerEvent>();
        var old = new ConsumerListener(events, 100, isSuccessor: false);
        var next = new ConsumerListener(events, 100, isSuccessor: true);
        old.Remember();
        old.Take(Event("on a", true));
        old.Take(Event("on b", false));
        next.Take(Event("on b", false));
        next.Take(Event("on b", true));
        next.Take(Event("on a", true));

        old.HandOverTo(next).Should().BeTrue();

        events.Should().Equal(Event("on a", true), Event("on b", false), Event("on b", true));
    }

    [Fact]
    public async Task A_file_that_gives_no_answer_holds_up_nothing_and_counts_as_unreadable_in_the_end()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var file = Path.Combine(folder.FullName, "password");
            var pipe = Path.Combine(folder.FullName, "pipe");
            using (var made = Process.Start("mkfifo", pipe))
            {
                await made.WaitForExitAsync();
            }

            await File.WriteAllTextAsync(file, "one");
            var secrets = new SettledSecrets(Options.Amqp! with { Username = "u", PasswordFile = file }, _time);
            await LookAsync();
            var one = await LookAsync();
            File.Move(pipe, file, overwrite: true);

            (await LookAsync()).Should().Be(one);
            (await secrets.TakeAsync(CancellationToken.None)).Password.Should().Be("one");
            _time.Shift(SettledSecrets.HungAfter);
            (await LookAsync()).Should().NotBe(one);
            (await secrets.TakeAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.CredentialsUnreadable);

            // Before anything counts there is nothing to connect with, but whoever waits may be told to stop.
            var others = new SettledSecrets(Options.Amqp! with { Username = "u", PasswordFile = file }, _time);
            (await others.LookAsync(CancellationToken.None)).Should().BeEmpty();
            using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(50), TimeProvider.System);
            var taking = () => others.TakeAsync(stop.Token);
            await taking.Should().ThrowAsync<OperationCanceledException>();

            // What came so late must be seen once more, as any change.
            File.Move(file, pipe);
            await File.WriteAllTextAsync(file, "two");
            await using (var late = new FileStream(pipe, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            {
                await late.WriteAsync("late"u8.ToArray());
            }

            for (var look = 0; look < 500 && (await secrets.TakeAsync(CancellationToken.None)).Password != "two"; look++)
            {
                await LookAsync();
                (await secrets.TakeAsync(CancellationToken.None)).Password.Should().NotBe("late");
                await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
            }

            (await secrets.TakeAsync(CancellationToken.None)).Password.Should().Be("two");

            async Task<string> LookAsync()
            {
                _time.Shift(SettledSecrets.LookInterval);
                return await secrets.LookAsync(CancellationToken.None);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task Authorities_count_once_they_can_be_read_and_vouch_for_their_own_alone()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var file = Path.Combine(folder.FullName, "ca");
            var pipe = Path.Combine(folder.FullName, "pipe");
            using (var made = Process.Start("mkfifo", pipe))
            {
                await made.WaitForExitAsync();
            }

            using var first = SelfSigned("first");
            using var second = SelfSigned("second");
            var secrets = new SettledSecrets(Options.Amqp! with { Url = new Uri("amqps://n1"), CaFile = file }, _time);
            (await SettleAsync("no certificate")).Reason.Should().Be(SourceReason.CaUnreadable);
            Trusts(await SettleAsync(first.ExportCertificatePem())).Should().Be((true, false));
            Trusts(await SettleAsync(second.ExportCertificatePem())).Should().Be((false, true));
            (await SettleAsync("no certificate")).Reason.Should().Be(SourceReason.CaUnreadable);
            Trusts(await SettleAsync(second.ExportCertificatePem())).Should().Be((false, true));

            File.Move(pipe, file, overwrite: true);
            await LookAsync();
            _time.Shift(SettledSecrets.HungAfter);
            await LookAsync();
            (await secrets.TakeAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.CaUnreadable);
            await using (new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            {
                // Nothing is left behind that still waits for it.
            }

            (bool First, bool Second) Trusts(AmqpSecrets taken) => (
                TrustedAuthorities.Accepts(taken.Authorities!, first, null, SslPolicyErrors.RemoteCertificateChainErrors),
                TrustedAuthorities.Accepts(taken.Authorities!, second, null, SslPolicyErrors.RemoteCertificateChainErrors));

            async Task<AmqpSecrets> SettleAsync(string content)
            {
                await File.WriteAllTextAsync(file, content);
                await LookAsync();
                await LookAsync();
                return await secrets.TakeAsync(CancellationToken.None);
            }

            async Task LookAsync()
            {
                _time.Shift(SettledSecrets.LookInterval);
                await secrets.LookAsync(CancellationToken.None);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        static X509Certificate2 SelfSigned(string name)
        {
            using var key = ECDsa.Create();
            var now = TimeProvider.System.GetUtcNow();
            return new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        }
    }

    private static ConsumerEvent Event(string id, bool isCreated) => new(new QueueName("/", "q"), id, isCreated, 1, false);

    private async Task<DeclarePass> PassAsync(AmqpReader reader)
    {
        _time.Shift(TimeSpan.FromSeconds(1));
        return await reader.DeclareAsync(true, TimeSpan.FromSeconds(1), CancellationToken.None);
    }

    private async Task UntilTwoListenAsync(AmqpReader reader, CancellationToken cancellationToken)
    {
        reader.KeepListening(cancellationToken);
        await PassAsync(reader);
        _broker.Secrets = "second";
        for (var second = 0; second < 10 && _broker.Listens < 2; second++)
        {
            await PassAsync(reader);
            reader.KeepListening(cancellationToken);
        }

        _broker.Listens.Should().Be(2);
    }

    private static async Task Until(Func<bool> condition)
    {
        for (var i = 0; i < 500 && !condition(); i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
        }

        condition().Should().BeTrue();
    }

    private AmqpReader Reader(RabbitMqConnectionOptions? options = null) =>
        new(options ?? Options, Options.Amqp!, _interest, _broker, new MonotonicClock(_time));

    private void Want(IEnumerable<string> queues) => _interest.Wanted = [.. queues.Select(static queue => new QueueName("/", queue))];

    /// <summary>Real time, with leaps.</summary>
    private sealed class ShiftedTime : TimeProvider
    {
        private TimeSpan _shift;

        public void Shift(TimeSpan by) => _shift += by;

        public override long GetTimestamp() => base.GetTimestamp() + (long)(_shift.TotalSeconds * TimestampFrequency);
    }

    private sealed class FakeBroker : IAmqpConnector
    {
        private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _now;
        private int _channels;
        private int _abandonedChannels;

        public Func<string, DeclareAnswer> Answer { get; set; } = static _ => new DeclareAnswer(DeclareResult.Found, 1, 1);

        public SourceReason Refusal { get; set; }

        /// <summary>What the files hold, settled.</summary>
        public string Secrets { get; set; } = "first";

        /// <summary>Why connections with some secrets are refused.</summary>
        public Func<string, SourceReason> Login { get; set; } = static _ => SourceReason.None;

        public Predicate<string> Closed { get; set; } = static _ => false;

        public bool IsSilent { get; set; }

        public bool GivesNoChannel { get; set; }

        public SourceReason ListenRefusal { get; set; }

        public Func<CancellationToken, Task<SourceReason>>? Listen { get; set; }

        public Func<CancellationToken, Task<SourceReason>>? Confirm { get; set; }

        /// <summary>Whether connections with some secrets end as soon as they are made.</summary>
        public Predicate<string> IsBornDead { get; set; } = static _ => false;

        public List<IAmqpConnection> All { get; } = [];

        public int Listens { get; private set; }

        public int Confirms { get; private set; }

        public Action EndListening { get; private set; } = static () => { };

        public Action<ConsumerEvent> SendEvent { get; private set; } = static _ => { };

        public string? Stuck { get; set; }

        public int Attempts { get; private set; }

        public int Connections { get; private set; }

        public int Abandoned { get; private set; }

        public int Channels => _channels;

        public int AbandonedChannels => _abandonedChannels;

        public int MostAtOnce { get; private set; }

        public List<string> Vhosts { get; } = [];

        public ConcurrentDictionary<string, int> Asked { get; } = new(StringComparer.Ordinal);

        public void Release() => _released.TrySetResult();

        public Task<(SourceReason Reason, IAmqpConnection? Connection)> ConnectAsync(string vhost, CancellationToken cancellationToken)
        {
            Attempts++;
            var refusal = Closed(vhost) ? SourceReason.NotFound : Refusal != SourceReason.None ? Refusal : Login(Secrets);
            if (refusal != SourceReason.None)
            {
                return Task.FromResult((refusal, (IAmqpConnection?)null));
            }

            Connections++;
            Vhosts.Add(vhost);
            var made = new Connection(this);
            All.Add(made);
            return Task.FromResult((SourceReason.None, (IAmqpConnection?)made));
        }

        public Task<string> LookAtSecretsAsync(CancellationToken cancellationToken) => Task.FromResult(Secrets);

        private sealed class Connection(FakeBroker broker) : IAmqpConnection
        {
            public bool IsOpen { get; private set; } = !broker.IsBornDead(broker.Secrets);

            public string Secrets { get; } = broker.Secrets;

            public Task<IAmqpChannel?> OpenChannelAsync(CancellationToken cancellationToken)
            {
                Interlocked.Increment(ref broker._channels);
                return Task.FromResult<IAmqpChannel?>(broker.GivesNoChannel ? null : new Channel(broker));
            }

            public Task<SourceReason> ListenAsync(Action<ConsumerEvent> onEvent, CancellationToken cancellationToken)
            {
                broker.Listens++;
                broker.EndListening = () => IsOpen = false;
                broker.SendEvent = onEvent;
                return broker.Listen is { } listen ? listen(cancellationToken) : Task.FromResult(broker.ListenRefusal);
            }

            public Task<SourceReason> ConfirmListeningAsync(CancellationToken cancellationToken)
            {
                broker.Confirms++;
                return broker.Confirm is { } confirm ? confirm(cancellationToken) : Task.FromResult(broker.ListenRefusal);
            }

            public void Abandon()
            {
                IsOpen = false;
                broker.Abandoned++;
            }
        }

        private sealed class Channel(FakeBroker broker) : IAmqpChannel
        {
            public bool IsUsable { get; private set; } = true;

            public async Task<DeclareAnswer> DeclareAsync(string queue, CancellationToken cancellationToken)
            {
                broker.Asked.AddOrUpdate(queue, 1, static (_, count) => count + 1);
                var now = Interlocked.Increment(ref broker._now);
                broker.MostAtOnce = Math.Max(broker.MostAtOnce, now);
                try
                {
                    await Task.Yield();
                    if (broker.IsSilent)
                    {
                        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
                    }

                    if (queue == broker.Stuck)
                    {
                        await broker._released.Task;
                    }

                    var answer = broker.Answer(queue);
                    IsUsable = answer.Result == DeclareResult.Found;
                    return answer;
                }
                finally
                {
                    Interlocked.Decrement(ref broker._now);
                }
            }

            public void Abandon() => Interlocked.Increment(ref broker._abandonedChannels);
        }
    }
}
