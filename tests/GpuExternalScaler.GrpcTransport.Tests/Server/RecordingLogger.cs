using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>Keeps what was logged.</summary>
internal sealed class RecordingLogger : ILoggerProvider
{
    private readonly ConcurrentQueue<LogRecord> _records = new();

    public IReadOnlyCollection<LogRecord> Records => _records;

    public IEnumerable<LogRecord> Errors => _records.Where(record => record.Level >= LogLevel.Error);

    public ILogger CreateLogger(string categoryName) => new Logger(_records, categoryName);

    public void Dispose()
    {
    }

    private sealed class Logger(ConcurrentQueue<LogRecord> records, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            records.Enqueue(new LogRecord(category, logLevel, formatter(state, exception), exception));
    }
}

internal sealed record LogRecord(string Category, LogLevel Level, string Message, Exception? Exception);
