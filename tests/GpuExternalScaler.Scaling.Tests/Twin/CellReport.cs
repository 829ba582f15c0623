using System.Globalization;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Forecasting;
using GpuExternalScaler.Scaling.Policy;
using Xunit.Abstractions;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>
/// The matrix, for whoever wants to know why a cell fails. Asserts nothing. One cell as it went where <c>TWIN_CELL</c> is set: service
/// time, prefetch, mishap, forecast mode, first second, last, step; e.g. <c>2,1,retry-loop,auto,2400,3000,10</c>. What the judge says of
/// all of them for so many seeds where <c>TWIN_SEEDS</c> is set.
/// </summary>
public class CellReport(ITestOutputHelper output)
{
    [Fact]
    public void Print()
    {
        if (Environment.GetEnvironmentVariable("TWIN_CELL")?.Split(',') is not { Length: 7 } wanted)
        {
            return;
        }

        int Number(int index) => int.Parse(wanted[index], CultureInfo.InvariantCulture);
        var cell = MatrixTests.Cell(Number(0), Number(1), wanted[2]);
        cell = cell with { Policy = cell.Policy with { Forecast = Enum.Parse<ForecastMode>(wanted[3], ignoreCase: true) } };
        var log = TwinRun.Of(cell);
        var asks = Clairvoyant.Asks(log);
        for (var t = Number(4); t < Math.Min(Number(5), asks.Length); t += Number(6))
        {
            var second = log.Seconds[t];
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{t,6} published {cell.ArrivalsPerSecond(t),7:F3}/s  answer {second.Answer,7:F1} {second.Reason.Code(),-20} needed {asks[t],5:F0} {(second.Answer > 2 * Math.Max(1, asks[t]) ? '*' : ' ')} busy {second.Busy,4} waiting {second.Waiting,6} consumers {second.Consumers,4} wanted {second.Wanted,4} arrivals {second.Arrivals,6:F1} {second.Forecast.Forecaster.Code(),-11} {second.Forecast.ArrivalsPerSecond,6:F1} pending {second.Forecast.PendingReplicas,5:F1}"));
        }
    }

    [Fact]
    public void PrintSeeds()
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable("TWIN_SEEDS"), CultureInfo.InvariantCulture, out var seeds))
        {
            return;
        }

        output.WriteLine("longest excess in s @ its end x its worst | seconds below busy work | fell asleep with messages/seen");
        foreach (var (serviceTime, prefetch, mishap) in MatrixTests.Cells().Select(static cell => ((double)cell[0], (int)cell[1], (string)cell[2])))
        {
            var of = Enumerable.Range(1, seeds).Select(seed =>
            {
                var log = TwinRun.Of(MatrixTests.Cell(serviceTime, prefetch, mishap) with { Seed = seed });
                var excess = TwinJudge.LongestExcess(log);
                var asleep = TwinJudge.Deactivations(log);
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"{excess.Seconds,4}@{excess.Until} x{excess.Worst:F1} | {TwinJudge.BelowBusyWork(log).Seconds} | {asleep.WithMessages}/{asleep.Seen}");
            });
            output.WriteLine($"W={serviceTime,3} p={prefetch,2} {mishap,-10}  {string.Join("   ", of)}");
        }
    }
}
