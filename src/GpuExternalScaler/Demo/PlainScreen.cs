namespace GpuExternalScaler.Demo;

/// <summary>Lines of text, for files, pipes and logs.</summary>
internal sealed class PlainScreen(TextWriter writer) : DemoScreen
{
    /// <inheritdoc/>
    public override void Write(string line) => writer.WriteLine(line);

    /// <inheritdoc/>
    public override async Task PlayAsync(Func<Task> play)
    {
        WriteCells([.. DemoRow.Columns.Select(static column => column.Name)]);
        await play();
    }

    /// <inheritdoc/>
    public override void Show(DemoRow row, string why, bool keep)
    {
        if (keep)
        {
            WriteCells(row.Cells);
        }
    }

    /// <inheritdoc/>
    public override void Note(TimeSpan at, string text)
    {
        writer.WriteLine($"{DemoRow.Time(at)}  -- {text}");
        writer.Flush();
    }

    private void WriteCells(IReadOnlyList<string> cells)
    {
        writer.WriteLine(string.Join("  ", cells.Zip(DemoRow.Columns, static (cell, column) => cell.PadLeft(column.Width))));
        writer.Flush();
    }
}
