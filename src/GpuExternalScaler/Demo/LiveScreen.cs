using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace GpuExternalScaler.Demo;

/// <summary>A table that renews itself in place, with the newest rows, what happened last, and how far it is.</summary>
internal sealed class LiveScreen(IAnsiConsole console, DemoSettings settings) : DemoScreen
{
    private const int Notes = 4;

    // What is not rows: the table's head (two lines when narrow), two blank lines, progress, two lines of explanation, notes.
    private const int OtherLines = 9 + Notes;

    // Room for all columns under their full names, and for the picture of the fleet beside them.
    private const int WideEnough = 98;
    private const int WideEnoughForFleet = 118;
    private const int BarWidth = 20;

    private readonly List<DemoRow> _rows = [];
    private readonly Queue<string> _notes = new();
    private LiveDisplayContext? _live;
    private DemoRow? _now;
    private string _why = "";

    private int MostRows => Math.Clamp(console.Profile.Height - OtherLines, 4, 40);

    private bool IsWide => console.Profile.Width >= WideEnough;

    private bool ShowsFleet => console.Profile.Width >= WideEnoughForFleet;

    /// <inheritdoc/>
    public override void Write(string line) => console.WriteLine(line);

    /// <inheritdoc/>
    public override Task PlayAsync(Func<Task> play)
    {
        console.WriteLine();
        return console.Live(new Text(""))
            .Overflow(VerticalOverflow.Crop)
            .StartAsync(async live =>
            {
                _live = live;
                await play();
            });
    }

    /// <inheritdoc/>
    public override void Show(DemoRow row, string why, bool keep)
    {
        (_now, _why) = (row, why);
        if (keep)
        {
            _rows.Add(row);
            _rows.RemoveRange(0, Math.Max(0, _rows.Count - MostRows));
        }

        _live?.UpdateTarget(Render());
        _live?.Refresh();
    }

    /// <inheritdoc/>
    public override void Note(TimeSpan at, string text)
    {
        _notes.Enqueue($"{DemoRow.Time(at)} {text}");
        while (_notes.Count > Notes)
        {
            _notes.Dequeue();
        }
    }

    private Rows Render()
    {
        var table = new Table().Border(TableBorder.None).Expand();
        foreach (var (name, narrow, width) in DemoRow.Columns)
        {
            if ((IsWide ? name : narrow) is not { } title)
            {
                continue;
            }

            var column = new TableColumn(new Text(title, new Style(decoration: Decoration.Dim))).NoWrap();
            table.AddColumn(width > 0
                ? column.Width(IsWide ? width : title.Split('\n').Max(static line => line.Length)).RightAligned().Padding(0, 0, 1, 0)
                : column.Padding(0, 0, ShowsFleet ? 1 : 0, 0));
        }

        if (ShowsFleet)
        {
            table.AddColumn(new TableColumn(new Text("pods", new Style(decoration: Decoration.Dim))).NoWrap().Width(BarWidth).Padding(0, 0, 0, 0));
        }

        foreach (var row in _rows)
        {
            table.AddRow(CellsOf(row));
        }

        if (_now is { } now && _rows.LastOrDefault() != now)
        {
            table.AddRow(CellsOf(now));
        }

        // Two lines for it always, or everything below would jump.
        var why = _why.Length < console.Profile.Width ? _why + '\n' : _why;
        return new Rows([table, new Text(""), Progress(), new Text(why), .. _notes.Select(static note => new Text(note, new Style(Color.Grey)))]);
    }

    private IEnumerable<IRenderable> CellsOf(DemoRow row)
    {
        var cells = row.Cells;
        for (var i = 0; i < cells.Count; i++)
        {
            if (IsWide || DemoRow.Columns[i].Narrow is not null)
            {
                yield return new Text(cells[i], StyleOf(DemoRow.Columns[i].Name, row)) { Overflow = Overflow.Ellipsis };
            }
        }

        if (ShowsFleet)
        {
            yield return Fleet(row);
        }
    }

    private static Style StyleOf(string column, DemoRow row) => column switch
    {
        "phase" => new Style(row.Phase == DemoPhase.Spike ? Color.Red : Color.Default),
        "ready" => new Style(row.Decision is { Ready: > 0 } ? Color.Yellow : Color.Default),
        "saturation" => new Style(row.Decision?.Saturation switch
        {
            >= 0.995 => Color.Red,
            > 0.7 => Color.Yellow,
            > 0 => Color.Green,
            _ => Color.Default,
        }),
        "answer" => new Style(decoration: Decoration.Bold),
        "serving" => new Style(row.Serving < row.Wanted ? Color.Yellow : Color.Green),
        "reason" => new Style(row.Answer?.Error is null ? Color.Default : Color.Red),
        _ => Style.Plain,
    };

    /// <summary>Serving pods solid, starting ones shaded.</summary>
    private Markup Fleet(DemoRow row)
    {
        var perCharacter = Math.Max(1, (settings.Hpa.MaxReplicas + BarWidth - 1) / BarWidth);
        var serving = Characters(row.Serving);
        var starting = Math.Max(0, Characters(row.Wanted) - serving);
        return new Markup($"[green]{new string('█', serving)}[/][yellow]{new string('░', starting)}[/]");

        int Characters(int pods) => (pods + perCharacter - 1) / perCharacter;
    }

    private Markup Progress()
    {
        var at = _now?.At ?? TimeSpan.Zero;
        const int width = 40;
        var done = (int)(width * Math.Clamp(at / settings.Duration, 0, 1));
        return new Markup(string.Create(
            CultureInfo.InvariantCulture,
            $"[blue]{new string('━', done)}[/][grey]{new string('━', width - done)}[/] {DemoRow.Time(at)} of {DemoRow.Time(settings.Duration)}, {settings.Speed:0.##}x, Ctrl-C ends it"));
    }
}
