namespace GpuExternalScaler.Commands;

/// <summary>What the program says to the shell.</summary>
internal static class ExitCode
{
    /// <summary>It did what was asked.</summary>
    public const int Done = 0;

    /// <summary>It failed.</summary>
    public const int Failed = 1;

    /// <summary>Wrong usage, or invalid input.</summary>
    public const int InvalidInput = 2;
}
