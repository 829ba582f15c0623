using GpuExternalScaler.Evaluation;

namespace GpuExternalScaler.Configuration;

/// <summary>
/// <c>GET /api/config</c>: what <c>show-config</c> says, of the server that runs. With <c>?workload=NAMESPACE/NAME</c> also the
/// policy of each trigger that asks for it. Values of headers are not shown, and of metadata only policy keys are.
/// </summary>
internal sealed class ConfigurationPage(CurrentConfiguration configuration, WorkloadRegistry registry)
{
    /// <summary>The path.</summary>
    public const string Path = "/api/config";

    /// <summary>The parameter that names a workload.</summary>
    public const string Workload = "workload";

    /// <summary>Answers a request: 400 for a workload that is none, 404 for a server without a file.</summary>
    public Task WriteAsync(HttpContext context)
    {
        var snapshot = configuration.Current;
        var name = context.Request.Query[Workload].ToString();
        context.Response.ContentType = "text/plain; charset=utf-8";
        if (snapshot.Reading is not { } reading)
        {
            return Refuse(StatusCodes.Status404NotFound, "this server has no configuration file");
        }

        WorkloadPattern? workload = null;
        if (name.Length > 0 && !(WorkloadPattern.TryParse(name, out workload) && workload.IsFullName))
        {
            return Refuse(StatusCodes.Status400BadRequest, $"{Workload} must be NAMESPACE/NAME of a ScaledObject");
        }

        var text = new StringWriter { NewLine = "\n" };
        ConfigurationText.Write(text, reading, snapshot.Options);
        if (workload is not null)
        {
            WritePolicies(text, workload, reading.Options!.Policies);
        }

        return context.Response.WriteAsync(text.ToString());

        Task Refuse(int status, string why)
        {
            context.Response.StatusCode = status;
            return context.Response.WriteAsync(why + "\n");
        }
    }

    private void WritePolicies(TextWriter text, WorkloadPattern workload, PolicyRules policies)
    {
        var triggers = registry.All
            .Where(known => known.Key.Namespace == workload.Namespace && known.Key.Name == workload.Name)
            .OrderBy(static known => known.Key.TriggerId, StringComparer.Ordinal)
            .ToList();
        foreach (var known in triggers)
        {
            text.WriteLine("---");
            text.WriteLine($"# trigger {known.Key.TriggerId}{(known.IsShadow ? ", which no ScaledObject asks about yet" : "")}");
            ConfigurationText.Write(text, workload.ToString(), policies.Resolve(workload.Namespace, workload.Name, known.Trigger.Policy));
        }

        if (triggers.Count == 0)
        {
            text.WriteLine("---");
            text.WriteLine("# no ScaledObject of this name asks; what holds for one whose trigger sets nothing:");
            ConfigurationText.Write(text, workload.ToString(), policies.Resolve(workload.Namespace, workload.Name, PolicyOverrides.None));
        }
    }
}
