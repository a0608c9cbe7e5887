"""A caller that leaves in the middle of its requests is not one that has sent them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.testing.ping import PingServicer, Reached, bench

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.interceptors.shapes import STREAMED_REQUEST, finish, stranger

CALLS = 20


class Storing(PingServicer):
    """Notes what it would store at the end of the requests."""

    def __init__(self) -> None:
        super().__init__(Reached())
        self.begun = self.ended = 0
        self.stored: list[int] = []

    async def PingAll(self, request_iterator: Any, context: Any) -> pb.PingAllResponse:
        """Stores when all requests have come."""
        await self._store(request_iterator)
        return pb.PingAllResponse()

    async def PingChat(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.PingChatResponse]:
        """As PingAll."""
        await self._store(request_iterator)
        yield pb.PingChatResponse()

    def reached(self, *, begun: int = 0, ended: int = 0) -> bool:
        """Whether so many calls have come so far."""
        return self.begun >= begun and self.ended >= ended

    async def _store(self, requests: Any) -> None:
        self.begun += 1
        try:
            self.stored.append(len([request async for request in requests]))
        finally:
            self.ended += 1


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_half_of_the_requests_are_not_all_of_them(shape):
    """A stranger that cancels after its first request has stored nothing, however often it tries."""
    storing = Storing()
    async with bench(ping=storing) as on, stranger(on) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        message = pb.PingAllRequest if shape == "PingAll" else pb.PingChatRequest
        for number in range(1, CALLS + 1):
            call = getattr(stub, shape)()
            await call.write(message(value="half"))
            await until(partial(storing.reached, begun=number))
            call.cancel()
            await until(partial(storing.reached, ended=number))
        assert storing.stored == []


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_all_of_them_are_stored(shape):
    """A caller that ends its requests and waits is served."""
    storing = Storing()
    async with bench(ping=storing) as on, stranger(on) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        message = pb.PingAllRequest if shape == "PingAll" else pb.PingChatRequest
        call = getattr(stub, shape)()
        await call.write(message())
        await call.write(message())
        await call.done_writing()
        await finish(call, shape)
        assert storing.stored == [2]
