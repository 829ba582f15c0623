using System.Text;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

public class BrokerStateProperties
{
    private static readonly byte[] Page = Encoding.UTF8.GetBytes(BrokerHarness.Data("436_detailed.txt"));

    private static readonly byte[] List = Encoding.UTF8.GetBytes(BrokerHarness.Data("310_list.json"));

    private static readonly Gen<(int Position, byte Value)[]> Edits =
        (from position in Gen.Choose(0, 10_000)
         from value in Gen.Choose(0, 255)
         select (position, (byte)value)).ArrayOf();

    [Fact]
    public void Damaged_answers_never_throw_and_never_give_negative_figures() => Prop
        .ForAll(Edits.ToArbitrary(), Edits.ToArbitrary(), (pageEdits, listEdits) =>
        {
            var harness = new BrokerHarness();
            harness.Sweep(Page);
            harness.Sweep(Damage(Page, pageEdits));
            harness.List(Damage(List, listEdits));
            harness.Sweep(Page[..(pageEdits.Sum(edit => edit.Position) % Page.Length)]);
            for (var slot = 0; slot < harness.Current.Count; slot++)
            {
                var reading = harness.Current[slot];
                if (reading.Ready < 0 || reading.Unacked < 0 || reading.Consumers < 0
                    || reading.Counters.Completed < 0 || reading.Counters.Delivered < 0)
                {
                    return false;
                }
            }

            return true;
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    /// <summary>T4: whatever a broker counts, resets and forgets, totals never fall.</summary>
    [Fact]
    public void Totals_never_fall()
    {
        var sweeps = (from first in Gen.Choose(-1, 1000)
                      from second in Gen.Choose(-1, 1000)
                      from list in Gen.Choose(-1, 1000)
                      select (First: first, Second: second, List: list)).ListOf();
        Prop.ForAll(sweeps.ToArbitrary(), list =>
        {
            var harness = new BrokerHarness();
            var last = default(QueueCounters);
            foreach (var (first, second, listed) in list)
            {
                harness.Sweep(Node("n1", first), Node("n2", second));
                if (listed >= 0 && harness.ManagementIsDue)
                {
                    harness.List(CounterTests.Entry(listed));
                }

                var counters = harness["q"].Counters;
                if (counters.Completed < last.Completed || counters.ObservedAt < last.ObservedAt)
                {
                    return false;
                }

                last = counters;
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    private static object Node(string name, int acked) =>
        acked < 0 ? SourceReason.Timeout : new PageText(name).Queue("q", consumers: 1).Counters("q", acked).ToString();

    private static byte[] Damage(byte[] bytes, (int Position, byte Value)[] edits)
    {
        var damaged = (byte[])bytes.Clone();
        foreach (var (position, value) in edits)
        {
            damaged[position % damaged.Length] = value;
        }

        return damaged;
    }
}
