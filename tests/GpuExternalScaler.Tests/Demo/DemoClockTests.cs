using GpuExternalScaler.Demo;

namespace GpuExternalScaler.Tests.Demo;

public class DemoClockTests
{
    private static readonly DateTimeOffset Start = new(2026, 11, 1, 8, 0, 0, TimeSpan.Zero);
    private readonly DemoClock _clock = new(Start);

    [Fact]
    public void Time_stands_still_until_it_is_moved()
    {
        var timestamp = _clock.GetTimestamp();
        _clock.GetUtcNow().Should().Be(Start);
        _clock.Advance(TimeSpan.FromMinutes(2));
        _clock.GetUtcNow().Should().Be(Start + TimeSpan.FromMinutes(2));
        _clock.GetElapsedTime(timestamp).Should().Be(TimeSpan.FromMinutes(2));
    }

    [Fact]
    public void Timers_fire_in_order_and_at_their_moments()
    {
        var fired = new List<string>();
        using var every = Timer("every 4 s", 4, 4);
        using var once = Timer("once", 6);
        using var never = Timer("disposed", 5);
        never.Dispose();
        _clock.Advance(TimeSpan.FromSeconds(3));
        fired.Should().BeEmpty();
        _clock.Advance(TimeSpan.FromSeconds(7));
        fired.Should().Equal("every 4 s at 4", "once at 6", "every 4 s at 8");

        ITimer Timer(string name, double due, double period = -0.001) => _clock.CreateTimer(
            _ => fired.Add($"{name} at {_clock.Elapsed.TotalSeconds}"), null, TimeSpan.FromSeconds(due), TimeSpan.FromSeconds(period));
    }

    [Fact]
    public async Task A_periodic_loop_has_done_its_work_before_time_goes_on()
    {
        var seen = new List<double>();
        using var stopping = new CancellationTokenSource();
        var loop = LoopAsync();
        _clock.Advance(TimeSpan.FromSeconds(3.5));
        seen.Should().Equal(1, 2, 3);
        await stopping.CancelAsync();
        await loop;

        async Task LoopAsync()
        {
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1), _clock);
            try
            {
                // Like a server's loop: not bound to the test runner's synchronisation context, which would run it later.
                while (await timer.WaitForNextTickAsync(stopping.Token).ConfigureAwait(false))
                {
                    seen.Add(_clock.Elapsed.TotalSeconds);
                }
            }
            catch (OperationCanceledException)
            {
            }
        }
    }

    [Fact]
    public async Task A_timer_due_at_once_does_not_wait_for_time()
    {
        var fired = new TaskCompletionSource();
        await using var timer = _clock.CreateTimer(_ => fired.TrySetResult(), null, TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        await fired.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void A_time_limit_ends_when_simulated_time_is_up()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30), _clock);
        _clock.Advance(TimeSpan.FromSeconds(29));
        limit.IsCancellationRequested.Should().BeFalse();
        _clock.Advance(TimeSpan.FromSeconds(1));
        limit.IsCancellationRequested.Should().BeTrue();
    }
}
