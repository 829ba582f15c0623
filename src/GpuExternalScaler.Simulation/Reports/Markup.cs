using System.Globalization;
using System.Text;
using System.Xml;

namespace GpuExternalScaler.Simulation.Reports;

/// <summary>Writes HTML that is XML too, so that nothing of a label can become markup.</summary>
internal sealed class Markup : IDisposable
{
    private readonly XmlWriter _xml;

    public Markup(TextWriter to)
    {
        to.Write("<!DOCTYPE html>");
        _xml = XmlWriter.Create(to, new XmlWriterSettings { OmitXmlDeclaration = true, Encoding = Encoding.UTF8, NewLineChars = "\n", CheckCharacters = false });
    }

    /// <summary>Opens an element, which closes with what is returned.</summary>
    public Closing Open(string name, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        Start(name, attributes);
        return new Closing(_xml);
    }

    /// <summary>An element of text alone. HTML knows no empty ones, so it always has an end.</summary>
    public void Element(string name, string text, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        Start(name, attributes);
        Text(text);
        _xml.WriteFullEndElement();
    }

    /// <summary>An element that never holds anything.</summary>
    public void Void(string name, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        Start(name, attributes);
        _xml.WriteEndElement();
    }

    /// <summary>Text.</summary>
    public void Text(string text) => _xml.WriteString(Printable(text));

    /// <summary>A style or script of the program's own: it must do without what would have to be escaped.</summary>
    public void Raw(string text) => _xml.WriteRaw(text);

    /// <inheritdoc/>
    public void Dispose() => _xml.Dispose();

    /// <summary>A share of a length, for styles.</summary>
    public static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{Math.Round(100 * share, 2)}%");

    private void Start(string name, ReadOnlySpan<(string Name, string Value)> attributes)
    {
        _xml.WriteStartElement(name);
        foreach (var (attribute, value) in attributes)
        {
            _xml.WriteAttributeString(attribute, Printable(value));
        }
    }

    // A file's name may hold what no document can, or what turns the text around it about.
    private static string Printable(string text)
    {
        var copy = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            var isPrinted = rune.Value is '\t' or '\n'
                || (Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format) && rune.Value is not (0xFFFE or 0xFFFF));
            copy.Append(isPrinted ? rune : Rune.ReplacementChar);
        }

        return copy.ToString();
    }

    /// <summary>Ends an element.</summary>
    public readonly struct Closing(XmlWriter xml) : IDisposable
    {
        /// <inheritdoc/>
        public void Dispose() => xml.WriteFullEndElement();
    }
}
