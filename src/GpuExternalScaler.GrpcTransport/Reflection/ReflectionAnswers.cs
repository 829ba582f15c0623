using Google.Protobuf.Reflection;
using GpuExternalScaler.GrpcTransport.Reflection.V1;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Reflection;

/// <summary>Answers single questions of reflection. Built when first asked, since all services are mapped by then.</summary>
internal sealed class ReflectionAnswers(MappedServices mapped)
{
    private readonly Lazy<DescriptorIndex> _index = new(() => new DescriptorIndex(mapped.Descriptors));

    public ServerReflectionResponse Answer(ServerReflectionRequest request)
    {
        var response = new ServerReflectionResponse { ValidHost = request.Host, OriginalRequest = request };
        switch (request.MessageRequestCase)
        {
            case ServerReflectionRequest.MessageRequestOneofCase.ListServices:
                response.ListServicesResponse = ListServices();
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.FileByFilename:
                Answer(response, _index.Value.FindFile(request.FileByFilename), "There is no file of this name.");
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.FileContainingSymbol:
                Answer(
                    response,
                    _index.Value.FindFileOfSymbol(request.FileContainingSymbol),
                    "There is no symbol of this name.");
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.AllExtensionNumbersOfType
                when _index.Value.IsMessage(request.AllExtensionNumbersOfType):
                // Proto3 messages have no extensions.
                response.AllExtensionNumbersResponse =
                    new ExtensionNumberResponse { BaseTypeName = request.AllExtensionNumbersOfType };
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.AllExtensionNumbersOfType:
                response.ErrorResponse = Error(StatusCode.NotFound, "There is no message of this name.");
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.FileContainingExtension:
                response.ErrorResponse = Error(StatusCode.NotFound, "There is no such extension.");
                break;
            default:
                response.ErrorResponse = Error(StatusCode.InvalidArgument, "The request asks nothing.");
                break;
        }

        return response;
    }

    private static void Answer(ServerReflectionResponse response, FileDescriptor? file, string otherwise)
    {
        if (file is null)
        {
            response.ErrorResponse = Error(StatusCode.NotFound, otherwise);
            return;
        }

        response.FileDescriptorResponse = new FileDescriptorResponse();
        response.FileDescriptorResponse.FileDescriptorProto.AddRange(DescriptorIndex.WithDependencies(file));
    }

    private static ErrorResponse Error(StatusCode code, string message) =>
        new() { ErrorCode = (int)code, ErrorMessage = message };

    private ListServiceResponse ListServices()
    {
        var list = new ListServiceResponse();
        list.Service.AddRange(_index.Value.ServiceNames.Select(name => new ServiceResponse { Name = name }));
        return list;
    }
}
