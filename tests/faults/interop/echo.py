"""The bench for other clients: what gRPC's interoperability tests ask of a server, behind our whole chain."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from trunk.testing.v1 import interop_service_pb2 as pb
from trunk.testing.v1 import interop_service_pb2_grpc as pb_grpc
from trunkline.call import current_call
from trunkline.testing.ping import CODES

INITIAL, TRAILING = "x-echo-initial", "x-echo-trailing-bin"
"""Metadata that come back."""


class Echo(pb_grpc.InteropServiceServicer):
    """Gives back what it is sent."""

    def __init__(self) -> None:
        self.flags: deque[bool] | None = None
        """Whether each message that comes next was sent compressed, where a tap says so."""
        self.began: Counter[str] = Counter()
        """Handlers that have begun, by method name."""
        self.cancelled: Counter[str] = Counter()
        """Those of them that were cancelled."""

    async def Nothing(self, request: pb.NothingRequest, context: Any) -> pb.NothingResponse:
        """Nothing."""
        self.began["Nothing"] += 1
        return pb.NothingResponse()

    async def Give(self, request: pb.GiveRequest, context: Any) -> pb.GiveResponse:
        """One answer."""
        call = current_call()
        assert call is not None
        left_s = -1.0 if call.deadline is None else call.deadline - call.clock.monotonic()
        await self._begin("Give", context, [request.wanted])
        await self._do("Give", request, context)
        return pb.GiveResponse(body=bytes(request.wanted.size_bytes), remaining_ms=int(left_s * 1000))

    async def GiveMany(self, request: pb.GiveManyRequest, context: Any) -> AsyncIterator[pb.GiveManyResponse]:
        """As many answers as are wanted."""
        await self._begin("GiveMany", context, request.wanted)
        for wanted in request.wanted:
            _uncompressed_if_wanted(wanted, context)
            yield pb.GiveManyResponse(body=bytes(wanted.size_bytes))
        await self._do("GiveMany", request, context)

    async def Take(self, request_iterator: AsyncIterator[pb.TakeRequest], context: Any) -> pb.TakeResponse:
        """One answer to all."""
        await self._begin("Take", context)
        size_bytes = 0
        async for request in request_iterator:
            size_bytes += len(request.body)
            await self._do("Take", request, context)
        return pb.TakeResponse(size_bytes=size_bytes)

    async def Exchange(
        self, request_iterator: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        """Answers to each."""
        await self._begin("Exchange", context)
        try:
            async for request in request_iterator:
                for wanted in request.wanted:
                    yield pb.ExchangeResponse(body=bytes(wanted.size_bytes))
                await self._do("Exchange", request, context)
        except asyncio.CancelledError:
            self.cancelled["Exchange"] += 1
            raise

    async def _begin(self, name: str, context: Any, wanted: Sequence[pb.WantedAnswer] = ()) -> None:
        self.began[name] += 1
        if any(one.compressed for one in wanted):
            context.set_compression(grpc.Compression.Gzip)
        sent = context.invocation_metadata()
        if trailing := [(key, value) for key, value in sent if key == TRAILING]:
            context.set_trailing_metadata(tuple(trailing))
        initial = [(key, value) for key, value in sent if key == INITIAL]
        if initial or any(one.compressed for one in wanted):
            # grpc.aio does not compress an answer that goes out together with the initial metadata.
            await context.send_initial_metadata(tuple(initial))

    async def _do(self, name: str, request: Any, context: Any) -> None:
        if self.flags is not None and hasattr(request, "compressed"):
            compressed = self.flags.popleft()
            if request.HasField("compressed") and request.compressed is not compressed:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request was sent otherwise")
        try:
            await asyncio.sleep(request.sleep_ms / 1000)
        except asyncio.CancelledError:
            self.cancelled[name] += 1
            raise
        if request.HasField("failure"):
            await context.abort(CODES[request.failure.code], request.failure.message)


def _uncompressed_if_wanted(wanted: pb.WantedAnswer, context: Any) -> None:
    if wanted.HasField("compressed") and not wanted.compressed:
        context.disable_next_message_compression()
