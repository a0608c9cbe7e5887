"""The yardstick: grpc.aio as it comes, with nothing round the call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc

from bench.paths.bearer import Bearer

Call = Callable[[], Awaitable[Any]]
"""Makes one call and gives its answer."""


class ReadServicer(pb_grpc.EffectServiceServicer):
    """Answers the one method that is measured; the others are nobody's."""

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:  # noqa: N802
        """Answers at once."""
        return pb.ReadResponse(value=1)


def read_servicer() -> pb_grpc.EffectServiceServicer:
    """The servicer that every gRPC way serves; the generated class calls methods abstract that it need not have."""
    servicer: Any = ReadServicer
    made: pb_grpc.EffectServiceServicer = servicer()
    return made


@asynccontextmanager
async def bare(_: Bearer) -> AsyncIterator[Call]:
    """A call on a plain channel to a plain server."""
    server = grpc.aio.server()
    pb_grpc.add_EffectServiceServicer_to_server(read_servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            read: Any = pb_grpc.EffectServiceStub(channel).Read
            yield lambda: read(pb.ReadRequest())
    finally:
        await server.stop(None)
