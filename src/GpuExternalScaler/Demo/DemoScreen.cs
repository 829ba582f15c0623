namespace GpuExternalScaler.Demo;

/// <summary>Where the demo is watched: a terminal, or a stream of lines.</summary>
internal abstract class DemoScreen
{
    /// <summary>Writes a line before or after the play.</summary>
    public abstract void Write(string line);

    /// <summary>Runs the play with the table in place.</summary>
    public abstract Task PlayAsync(Func<Task> play);

    /// <summary>Shows how things are now.</summary>
    /// <param name="row">The row.</param>
    /// <param name="why">A sentence on the newest decision, or empty.</param>
    /// <param name="keep">Whether the row stays; otherwise the next one takes its place.</param>
    public abstract void Show(DemoRow row, string why, bool keep);

    /// <summary>Says that something happened.</summary>
    public abstract void Note(TimeSpan at, string text);
}
