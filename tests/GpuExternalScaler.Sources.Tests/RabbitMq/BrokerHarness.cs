using System.Globalization;
using System.Text;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>Feeds answers to a <see cref="BrokerState"/> on a clock of its own, one sweep every two seconds.</summary>
internal sealed class BrokerHarness
{
    public static readonly RabbitMqConnectionOptions Both = new()
    {
        Name = "main",
        MetricsUrls = [new Uri("http://n1:15692")],
        Management = new RabbitMqManagementOptions { Url = new Uri("http://n1:15672") },
    };

    public static readonly RabbitMqConnectionOptions All = Both with
    {
        Amqp = new RabbitMqAmqpOptions { Url = new Uri("amqp://n1") },
    };

    public static readonly RabbitMqConnectionOptions AmqpOnly = new()
    {
        Name = "main",
        Amqp = new RabbitMqAmqpOptions { Url = new Uri("amqp://n1") },
    };

    private readonly BrokerState _state;

    public BrokerHarness(RabbitMqConnectionOptions? options = null, int absentLimit = 10_000) =>
        _state = new BrokerState(options ?? Both, new QueueTable(absentLimit));

    public DateTimeOffset Now { get; private set; } = new(2026, 11, 22, 10, 0, 0, TimeSpan.Zero);

    public BrokerReadings Current => _state.Current;

    public bool ManagementIsDue => _state.ManagementIsDue(Now);

    public bool TotalsAreDue => _state.TotalsAreDue(Now);

    public bool ConsumersAreDue => _state.ConsumersAreDue(Now);

    public bool DeclaresServeGauges => _state.DeclaresServeGauges;

    public QueueReading this[string queue] => Current.Read("/", queue);

    /// <summary>How long declares take to come round.</summary>
    public TimeSpan Rotation { get; init; }

    public void Wait(double seconds) => Now += TimeSpan.FromSeconds(seconds);

    /// <summary>One sweep of the metrics, two seconds after the one before. An answer is a page, or a reason.</summary>
    public SweepOutcome Sweep(params object[] answers) => Sweep(true, answers);

    public SweepOutcome Sweep(bool allAsked, params object[] answers)
    {
        Wait(2);
        var nodes = answers.Select((answer, i) => new NodeAnswer($"n{i + 1}:15692", ToAnswer(answer))).ToArray();
        return _state.ApplyMetrics(Now, Now, Now, nodes, allAsked);
    }

    public SweepOutcome List(params object[] answers) => List(false, answers);

    public SweepOutcome List(bool statisticsDisabled, params object[] answers) =>
        _state.ApplyManagement(Now, Now, "n1:15672", Array.ConvertAll(answers, ToAnswer), statisticsDisabled);

    public SweepOutcome Totals(params object[] answers) =>
        _state.ApplyTotals(Now, Now, "n1:15672", Array.ConvertAll(answers, ToAnswer));

    /// <summary>One pass of declares, all in the default virtual host.</summary>
    public SweepOutcome Declare(params (string Queue, DeclareAnswer Answer)[] answers) => Declare(null, answers);

    public SweepOutcome Declare(SourceReason? unreachable, params (string Queue, DeclareAnswer Answer)[] answers)
    {
        var outcomes = Array.ConvertAll(answers, one => new DeclareOutcome(new QueueName("/", one.Queue), one.Answer, Now));
        var vhosts = new Dictionary<string, SourceReason>(StringComparer.Ordinal);
        if (unreachable is { } reason)
        {
            vhosts["/"] = reason;
        }

        return _state.ApplyDeclares(new DeclarePass(Now, outcomes, outcomes.Length, unreachable is null, vhosts) { Rotation = Rotation }, "n1:5672", Now);
    }

    public SweepOutcome Declare(DeclarePass pass) => _state.ApplyDeclares(pass, "n1:5672", Now);

    public SweepOutcome Defect(RabbitMqEndpoint kind) => _state.ApplyDefect(kind, Now, Now, new InvalidOperationException());

    public SweepOutcome Consumers(object answer, double age = 0) =>
        _state.ApplyConsumers(Now - TimeSpan.FromSeconds(age), Now, "n1:15672", ToAnswer(answer));

    public void Events(params ConsumerEvent[] events) => Events(true, SourceReason.None, events);

    public void Events(bool isOpen, SourceReason reason, params ConsumerEvent[] events) =>
        _state.ApplyConsumerEvents(events, isOpen, isWhole: true, reason, "n1:5672", Now);

    /// <summary>Some events were lost; more come.</summary>
    public void LostEvents(params ConsumerEvent[] events) =>
        _state.ApplyConsumerEvents(events, true, isWhole: false, SourceReason.None, "n1:5672", Now);

    public static DeclareAnswer Found(long ready, long consumers) => new(DeclareResult.Found, ready, consumers);

    public static EndpointAnswer ToAnswer(object answer)
    {
        if (answer is SourceReason reason)
        {
            return new EndpointAnswer(reason);
        }

        var page = new PageBuffer();
        page.Append(answer as byte[] ?? Encoding.UTF8.GetBytes((string)answer));
        return new EndpointAnswer(page);
    }

    public static string Data(string file) =>
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "RabbitMq", "Data", file));
}

/// <summary>Composes a node's page as 3.10 (no counters) or 4.x would write it.</summary>
internal sealed class PageText(string node)
{
    private readonly StringBuilder _lines = new();
    private bool _hasCounters;
    private bool _hasPublish;
    private bool _hasInfo;

    /// <summary>The broker knows delivery and publish counters, whether or not any queue has some.</summary>
    public PageText WithCounters()
    {
        _hasCounters = true;
        _hasPublish = true;
        return this;
    }

    public PageText WithoutPublish()
    {
        _hasPublish = false;
        return this;
    }

    public PageText WithInfo()
    {
        _hasInfo = true;
        return this;
    }

    public PageText Queue(string queue, long ready = 0, long unacked = 0, long? consumers = 0, string vhost = "/")
    {
        Line("messages_ready", queue, ready, vhost: vhost);
        Line("messages_unacked", queue, unacked, vhost: vhost);
        return consumers is null ? this : Consumers(queue, consumers.Value, vhost);
    }

    public PageText Consumers(string queue, long consumers, string vhost = "/") => Line("consumers", queue, consumers, vhost: vhost);

    public PageText Info(string queue, string membership, string type = "rabbit_quorum_queue")
    {
        _hasInfo = true;
        return Line("info", queue, 1, $",queue_type=\"{type}\",membership=\"{membership}\"");
    }

    public PageText Counters(
        string queue, long acked = 0, long autoAck = 0, long autoGet = 0, long delivered = 0, long gets = 0, long redelivered = 0)
    {
        _hasCounters = true;
        Line("messages_acked_total", queue, acked);
        Line("messages_delivered_total", queue, autoAck);
        Line("get_total", queue, autoGet);
        Line("messages_delivered_ack_total", queue, delivered);
        Line("get_ack_total", queue, gets);
        Line("get_empty_total", queue, 1000);
        return Line("messages_redelivered_total", queue, redelivered);
    }

    public PageText Published(string queue, string exchange, long published)
    {
        _hasPublish = true;
        return Line("exchange_messages_published_total", queue, published, $",exchange=\"{exchange}\"");
    }

    public PageText Raw(string line)
    {
        _lines.Append(line).Append('\n');
        return this;
    }

    public PageText Line(string metric, string queue, long value, string more = "", string vhost = "/") =>
        Raw(string.Create(CultureInfo.InvariantCulture, $"rabbitmq_detailed_queue_{metric}{{vhost=\"{vhost}\",queue=\"{queue}\"{more}}} {value}"));

    public static implicit operator string(PageText page) => page.ToString();

    public override string ToString() =>
        (_hasCounters ? "# TYPE rabbitmq_detailed_queue_messages_acked_total counter\n" : "")
        + (_hasPublish ? "# TYPE rabbitmq_detailed_queue_exchange_messages_published_total counter\n" : "")
        + (_hasInfo ? "# TYPE rabbitmq_detailed_queue_info gauge\n" : "")
        + _lines
        + $"rabbitmq_identity_info{{rabbitmq_node=\"{node}\",rabbitmq_cluster=\"c\"}} 1\n";
}
