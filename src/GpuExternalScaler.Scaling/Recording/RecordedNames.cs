namespace GpuExternalScaler.Scaling.Recording;

/// <summary>Whose steps they are.</summary>
/// <param name="Namespace">The namespace of its ScaledObject.</param>
/// <param name="Name">The ScaledObject.</param>
/// <param name="Trigger">The trigger's id.</param>
public sealed record RecordedName(string Namespace, string Name, string Trigger)
{
    /// <inheritdoc/>
    public override string ToString() => Trigger.Length == 0 ? $"{Namespace}/{Name}" : $"{Namespace}/{Name}#{Trigger}";

    /// <summary>Whether somebody means it who says <c>NAMESPACE/NAME</c> or <c>NAMESPACE/NAME#TRIGGER</c>.</summary>
    public bool IsMeantBy(string text) => text == ToString() || text == $"{Namespace}/{Name}";
}

/// <summary>What a step came to, as the recording has it.</summary>
/// <param name="Value">What KEDA was told, 0 while undecided.</param>
/// <param name="IsActive">Whether it was active.</param>
/// <param name="Reason">The reason's name, of the program that recorded it.</param>
/// <param name="Threw">Whether there was no decision, for the step failed with an exception.</param>
public readonly record struct RecordedAnswer(long Value, bool IsActive, string Reason, bool Threw);
