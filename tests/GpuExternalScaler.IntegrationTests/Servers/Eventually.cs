namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>Waits for something that a real server will show in its own time.</summary>
public static class Eventually
{
    public static readonly TimeSpan DefaultLimit = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// Reads until the value is accepted and returns it. A read that throws is a value not there yet; the exception of
    /// the time-out says what was seen last.
    /// </summary>
    public static async Task<T> SeesAsync<T>(
        Func<Task<T>> read, Func<T, bool> accept, string what, TimeSpan? limit = null, Func<string>? context = null)
    {
        var start = TimeProvider.System.GetTimestamp();
        var allowed = limit ?? DefaultLimit;
        while (true)
        {
            object? seen;
            try
            {
                var value = await read();
                if (accept(value))
                {
                    return value;
                }

                seen = value;
            }
            catch (Exception error) when (error is HttpRequestException or IOException or TaskCanceledException)
            {
                seen = error.Message;
            }

            if (TimeProvider.System.GetElapsedTime(start) > allowed)
            {
                throw new TimeoutException(
                    $"Waited {allowed.TotalSeconds:0.#} s for {what}; last seen: {seen ?? "nothing"}. {context?.Invoke()}".TrimEnd());
            }

            await Task.Delay(Interval, TimeProvider.System);
        }
    }

    public static Task IsTrueAsync(Func<bool> condition, string what, TimeSpan? limit = null) =>
        SeesAsync(() => Task.FromResult(condition()), value => value, what, limit);
}
