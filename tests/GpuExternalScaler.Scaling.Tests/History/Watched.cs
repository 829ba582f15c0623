using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.History;

/// <summary>Cold starts under watch, one step a second: what is asked for and what is there are set by hand.</summary>
internal sealed class Watched
{
    public ColdStarts ColdStarts { get; set; } = new();

    public ScalingPolicy Policy { get; set; } = ScalingPolicy.Default with { MeasuresColdStart = true };

    public DateTimeOffset Now { get; private set; } = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);

    /// <summary>Times all that passes.</summary>
    public double Scale { get; init; } = 1;

    public double Asked { get; set; }

    public double Replicas { get; set; }

    public double? Ready { get; set; }

    public double? Maximum { get; set; }

    /// <summary>A fleet that has been as it is for long enough that whatever was before no longer matters.</summary>
    public static Watched Fleet(double replicas, double? ready = null)
    {
        var watched = new Watched { Asked = replicas, Replicas = replicas, Ready = ready };
        watched.For(1200);
        return watched;
    }

    /// <summary>Lets seconds pass.</summary>
    public Watched For(double seconds)
    {
        for (var t = 0; t < seconds; t++)
        {
            Step(1);
        }

        return this;
    }

    /// <summary>Lets seconds pass in which nothing is read.</summary>
    public Watched Unseen(double seconds) => Step(seconds);

    /// <summary>Asks for more, which comes after so long.</summary>
    public Watched Grow(double by, double after)
    {
        Asked = Replicas + by;
        For(after);
        Replicas += by;
        Ready += by;
        return For(1);
    }

    /// <summary>Asks for less, which an HPA with Kubernetes' defaults does after five minutes.</summary>
    public Watched Shrink(double by)
    {
        Asked = Replicas - by;
        For(305);
        Replicas -= by;
        Ready -= by;
        return For(30);
    }

    /// <summary>Grows by three and shrinks again, so often.</summary>
    public Watched Cycles(int times, double after)
    {
        for (var i = 0; i < times; i++)
        {
            Grow(3, after).For(60).Shrink(3);
        }

        return this;
    }

    private Watched Step(double seconds)
    {
        Now += TimeSpan.FromSeconds(seconds * Scale);
        ColdStarts.Note(Now, Asked, Replicas, Ready, Maximum, ColdStarts.InForce(Policy), Policy);
        return this;
    }
}
