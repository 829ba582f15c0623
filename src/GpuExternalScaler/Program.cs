using System.CommandLine;
using GpuExternalScaler.Commands;

var config = ConfigurationInput.FileOption();
var recording = new RecordingInput();
var root = new RootCommand("GPU External Scaler: tells KEDA how many GPU replicas are needed when a pod asked for now would be ready.")
{
    config,
    recording.File,
    recording.Limit,
    ServeCommand.Create(config, recording),
    CheckConfigCommand.Create(),
    ShowConfigCommand.Create(),
    DemoCommand.Create(),
    ReplayCommand.Create(),
    SimulateCommand.Create(),
};
root.SetAction((result, cancellation) => ServeCommand.RunAsync(result.GetValue(config)!, recording.Read(result), cancellation));

// The library's default kills the process two seconds after SIGTERM, with streams still open (K6).
var parsed = root.Parse(args);
var exit = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(10) });
return exit == ExitCode.Failed && parsed.Errors.Count > 0 ? ExitCode.InvalidInput : exit;
