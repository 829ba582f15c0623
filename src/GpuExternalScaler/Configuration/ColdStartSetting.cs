namespace GpuExternalScaler.Configuration;

/// <summary>A cold start as people set it: a length of time, or measured, beginning with one.</summary>
/// <param name="Begin">The length; of a measured one what it begins with.</param>
/// <param name="IsMeasured">Whether it is measured.</param>
internal readonly record struct ColdStartSetting(TimeSpan Begin, bool IsMeasured)
{
    /// <summary>The word for measuring.</summary>
    public const string Auto = "auto";

    /// <summary>What measuring begins with where nothing is said.</summary>
    public static readonly TimeSpan AutoBegin = TimeSpan.FromSeconds(60);

    // Half and three times of it bound what is measured: of nothing, they would leave nothing.
    private static readonly TimeSpan LeastAuto = TimeSpan.FromSeconds(1);

    /// <summary>The text in a trigger's identity; that of a plain length is what it was before there was any other.</summary>
    public string Canonical => IsMeasured ? $"{Auto} {SettingText.Canonical(Begin)}" : SettingText.Canonical(Begin);

    /// <summary>Reads <c>90s</c>, <c>auto</c> or <c>auto 30s</c>.</summary>
    public static bool TryRead(string text, TimeSpan longest, out ColdStartSetting value)
    {
        var isMeasured = text.StartsWith(Auto, StringComparison.Ordinal) && (text.Length == Auto.Length || char.IsWhiteSpace(text[Auto.Length]));
        var length = (isMeasured ? text.AsSpan(Auto.Length) : text).Trim().ToString();
        var begin = AutoBegin;
        var valid = (isMeasured && length.Length == 0) || (SettingText.TryDuration(length, out begin) && begin <= longest && !(isMeasured && begin < LeastAuto));
        value = valid ? new ColdStartSetting(begin, isMeasured) : default;
        return valid;
    }

    /// <summary>As people write it.</summary>
    public override string ToString() =>
        !IsMeasured ? SettingText.Readable(Begin)
        : Begin == AutoBegin ? Auto
        : $"{Auto} {SettingText.Readable(Begin)}";
}
