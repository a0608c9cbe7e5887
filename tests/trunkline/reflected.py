"""What a server says of its contracts when it is asked as grpcurl asks."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha import reflection_pb2_grpc as pb_grpc


async def ask(channel: Any, **question: Any) -> pb.ServerReflectionResponse:
    """The answer to one question."""
    stub: Any = pb_grpc.ServerReflectionStub(channel)  # its type stubs know no methods
    call = stub.ServerReflectionInfo(iter([pb.ServerReflectionRequest(**question)]))
    answer: pb.ServerReflectionResponse = await anext(aiter(call))
    return answer


async def services(channel: Any) -> list[str]:
    """The services that are listed."""
    return [one.name for one in (await ask(channel, list_services="")).list_services_response.service]


async def files_of(channel: Any, symbol: str) -> dict[str, FileDescriptorProto]:
    """The files that are sent for a symbol: its own, and all that it needs."""
    answer = await ask(channel, file_containing_symbol=symbol)
    sent = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
    return {file.name: file for file in sent}
