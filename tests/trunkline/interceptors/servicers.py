"""Servicers for what the bench's own cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.call import InboundCall, current_call
from trunkline.errors import ServiceError
from trunkline.policies.retry import RetryPolicy
from trunkline.testing.ping import Bench, PingServicer, Reached

Answer = Callable[[Any], Awaitable[None]]
"""What happens inside a handler; takes its context."""


class Effects(pb_grpc.EffectServiceServicer):
    """Counts what reaches it, and does inside what a test asks for."""

    def __init__(self, inside: Answer | None = None) -> None:
        self.inside = inside
        self.calls: list[InboundCall] = []
        self.metadata: list[dict[str, Any]] = []
        self.value = 0

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """Adds."""
        await self._note(context)
        self.value += request.amount
        return pb.AddResponse(value=self.value)

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        """Reads."""
        await self._note(context)
        return pb.ReadResponse(value=self.value)

    async def Reset(self, request: pb.ResetRequest, context: Any) -> pb.ResetResponse:
        """Begins anew."""
        await self._note(context)
        self.value = 0
        return pb.ResetResponse()

    async def MakeSecret(self, request: pb.MakeSecretRequest, context: Any) -> pb.MakeSecretResponse:
        """Makes a secret."""
        await self._note(context)
        return pb.MakeSecretResponse(secret=f"secret-{len(self.calls)}")

    async def _note(self, context: Any) -> None:
        call = current_call()
        assert call is not None
        self.calls.append(call)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.inside is not None:
            await self.inside(context)


class Hop(pb_grpc.PingServiceServicer):
    """Passes everything on to the next server."""

    def __init__(self, ping: Any) -> None:
        self._ping = ping
        self.calls = 0

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """The next server's answer."""
        self.calls += 1
        answer: pb.PingResponse = await self._ping.Ping(request)
        return answer

    async def PingMany(self, request: pb.PingManyRequest, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """The next server's answers."""
        self.calls += 1
        async for answer in self._ping.PingMany(request):
            yield answer

    async def PingAll(self, request_iterator: Any, context: Any) -> pb.PingAllResponse:
        """The next server's answer."""
        self.calls += 1
        answer: pb.PingAllResponse = await self._ping.PingAll(request_iterator)
        return answer

    async def PingChat(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.PingChatResponse]:
        """The next server's answers."""
        self.calls += 1
        async for answer in self._ping.PingChat(request_iterator):
            yield answer


class Talker(PingServicer):
    """Its streams say two things and then nothing more, for ever; it notes who lets go of it."""

    def __init__(self) -> None:
        super().__init__(Reached())
        self.begun = self.let_go = 0
        self.failure: ServiceError | None = None

    async def PingMany(self, request: pb.PingManyRequest, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """Two answers."""
        with self._noted():
            yield pb.PingManyResponse(value=request.value)
            yield pb.PingManyResponse(value=request.value, index=1)
            await self._no_more()

    async def PingAll(self, request_iterator: Any, context: Any) -> pb.PingAllResponse:
        """No answer."""
        with self._noted():
            await anext(request_iterator)
            await self._no_more()
        return pb.PingAllResponse()

    async def PingChat(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.PingChatResponse]:
        """Two answers to the first request."""
        with self._noted():
            request = await anext(request_iterator)
            yield pb.PingChatResponse(value=request.value)
            yield pb.PingChatResponse(value=request.value)
            await self._no_more()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        self.begun += 1
        try:
            yield
        finally:
            self.let_go += 1

    async def _no_more(self) -> None:
        if self.failure is not None:
            raise self.failure
        await asyncio.Event().wait()


class Policies(pb_grpc.PolicyServiceServicer):
    """Counts what reaches it, and does inside what a test asks for, by the number of the call."""

    def __init__(self, inside: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.inside = inside
        self.calls = self.cancelled = 0
        self.metadata: list[dict[str, Any]] = []
        self.remaining_s: list[float] = []

    async def Hedged(self, request: pb.HedgedRequest, context: Any) -> pb.HedgedResponse:
        """Its attempt is the number of the call."""
        return pb.HedgedResponse(value=request.value, attempt=await self._note(context))

    async def HedgedMany(self, request: pb.HedgedManyRequest, context: Any) -> AsyncIterator[pb.HedgedManyResponse]:
        """As Hedged."""
        attempt = await self._note(context)
        for index in range(request.count):
            yield pb.HedgedManyResponse(value=request.value, attempt=attempt, index=index)

    async def Cached(self, request: pb.CachedRequest, context: Any) -> pb.CachedResponse:
        """Its serial is the number of the call."""
        return pb.CachedResponse(value=request.value, serial=await self._note(context))

    async def Once(self, request: pb.OnceRequest, context: Any) -> pb.OnceResponse:
        """Answers."""
        return pb.OnceResponse(value=request.value, attempt=await self._note(context))

    async def _note(self, context: Any) -> int:
        self.calls += 1
        number, call = self.calls, current_call()
        self.metadata.append(dict(context.invocation_metadata()))
        if call is not None and call.deadline is not None:
            self.remaining_s.append(call.deadline - call.clock.monotonic())
        try:
            if self.inside is not None:
                await self.inside(number)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return number


class Sleeps:
    """Waits that take no time, and how long each would have been."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Notes the wait."""
        self.waited.append(seconds)
        await asyncio.sleep(0)


def highest(low: float, high: float) -> float:
    """Dice that always show the most."""
    return high


def without_waiting(on: Bench) -> Sleeps:
    """The channel waits in no time; how long it would have waited is noted."""
    on.channel.peer.sleep = sleeps = Sleeps()
    on.channel.peer.uniform = highest
    return sleeps


def with_one_attempt(on: Bench) -> None:
    """The channel repeats nothing."""
    on.channel.peer.uniform = highest
    on.channel.peer.retry = RetryPolicy(max_attempts=1)


async def until(condition: Callable[[], bool], within_s: float = 3.0) -> None:
    """Returns when condition holds; fails if that takes too long."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the other half of the bench
            await asyncio.sleep(0.002)
