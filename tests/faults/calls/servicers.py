"""The servicers of these tests: the bench's, with a journal of what reaches them and effects in a real database."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.call import current_call
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Gate
from trunkline.interceptors.host import Host, ServerGate
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import Method
from trunkline.storage import Transaction, UnitOfWork
from trunkline.testing.ping import PingServicer, Reached, behave

from tests.faults.calls.books import record
from tests.faults.calls.journal import BEGAN, JournalWriter

M = TypeVar("M", bound=Message)
KEY, PUSHBACK, SWALLOW, HANG, ONCE = "fault-key", "fault-pushback", "fault-swallow", "fault-hang", "fault-once"
"""Metadata that asks for more than a Behaviour can: the name of the call; a push-back, as `attempt=value`; that the
handler swallows its own abort; that it never answers after its commit; that its name is a business key."""
LONGER_MS = 20_000
"""Milliseconds that a call takes which nobody waits for."""
ILL = 10
"""How much slower a server is that has fallen ill."""


@dataclass(slots=True)
class World:
    """What the servicers of one process share."""

    journal: JournalWriter
    """Notes what happens."""
    unit: UnitOfWork
    """Commits effects."""
    following: pb_grpc.PingServiceAsyncStub | None = None
    """The next hop of Ping; None for the last one."""
    slots: asyncio.Semaphore | None = None
    """How many pings are worked on at once; None: all."""
    slower: int = 1
    """How often everybody waits as long as asked for."""
    failing: bool = False
    """Whether every Ping fails with UNAVAILABLE."""
    reached: Reached = field(default_factory=Reached)
    """Counts attempts."""

    def arrivals(self, method: Method, _: Host) -> ServerGate:
        """A link, outermost of the server chain: notes every attempt, those that are refused later too."""

        def check(call: ServerCall) -> None:
            key = str(call.metadata.get(KEY, ""))
            left_s = call.context.time_remaining()
            before = int(call.metadata.get(headers.PREVIOUS_ATTEMPTS, "0"))
            name, left_ms = _name(method.path), -1 if left_s is None else round(left_s * 1000)
            self.journal.note("arrived", key, method=name, left_ms=left_ms, number=before)

        return Gate(check)

    @contextmanager
    def handling(self, key: str) -> Iterator[None]:
        """Notes that a handler has begun, and how it ended."""
        call = current_call()
        assert call is not None
        name = _name(call.method)
        left_ms = -1 if call.deadline is None else round((call.deadline - call.clock.monotonic()) * 1000)
        self.journal.note(BEGAN, key, method=name, left_ms=left_ms)
        how = "failed"
        try:
            yield
            how = "ended"
        except (asyncio.CancelledError, GeneratorExit):
            how = "cancelled"
            raise
        finally:
            self.journal.note(how, key, method=name)

    async def behave(self, behaviour: pb.Behaviour, context: Any) -> int:
        """Does what the request asks, where there is room for it; gives the number of the attempt."""
        asked = pb.Behaviour()
        asked.CopyFrom(behaviour)
        asked.sleep_ms *= self.slower
        if self.failing:
            raise ServiceError(grpc.StatusCode.UNAVAILABLE, "AS_ASKED", "this server is ill")
        async with self.slots or nullcontext():
            attempt = await behave(self.reached, asked)
        number, _, pushback = str(_metadata(context).get(PUSHBACK, "")).partition("=")
        if pushback and attempt == int(number):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later", ((headers.PUSHBACK_MS, pushback),))
        return attempt


class Pings(PingServicer):
    """The bench's, noted. A process with a next hop asks it after its own work, for longer than anybody waits."""

    def __init__(self, world: World) -> None:
        super().__init__(world.reached)
        self._world = world

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Answers once, or passes the next one's answer on."""
        key, following = request.behaviour.attempt_key, self._world.following
        with self._world.handling(key):
            attempt = await self._world.behave(request.behaviour, context)
            if following is None:
                return pb.PingResponse(value=request.value, attempt=attempt)
            longer = pb.Behaviour(attempt_key=key, sleep_ms=LONGER_MS)
            answer: pb.PingResponse = await following.Ping(
                pb.PingRequest(value=request.value, behaviour=longer), metadata=((KEY, key),)
            )
            return answer

    async def PingMany(self, request: pb.PingManyRequest, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """As the bench's; what it is let go by is noted."""
        with self._world.handling(request.behaviour.attempt_key):
            async for answer in super().PingMany(request, context):
                yield answer

    async def PingAll(self, request_iterator: AsyncIterator[pb.PingAllRequest], context: Any) -> pb.PingAllResponse:
        """As the bench's."""
        with self._world.handling(str(_metadata(context)[KEY])):
            return await super().PingAll(request_iterator, context)

    async def PingChat(
        self, request_iterator: AsyncIterator[pb.PingChatRequest], context: Any
    ) -> AsyncIterator[pb.PingChatResponse]:
        """As the bench's."""
        with self._world.handling(str(_metadata(context)[KEY])):
            async for answer in super().PingChat(request_iterator, context):
                yield answer


class Effects(pb_grpc.EffectServiceServicer):
    """Every change is a row, under the name of its call."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """Adds."""
        key = str(_metadata(context)[KEY])
        with self._world.handling(key):
            if SWALLOW in _metadata(context):
                await _abort_and_go_on(context)
            await self._world.behave(request.behaviour, context)
            once = ONCE in _metadata(context)

            def work(transaction: Transaction) -> pb.AddResponse:
                return pb.AddResponse(value=record(transaction, _tenant(), key, request.amount, once=once))

            return await self._commit(key, context, work)

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        """Reads nothing: these tests look into the database themselves."""
        return pb.ReadResponse()

    async def Reset(self, request: pb.ResetRequest, context: Any) -> pb.ResetResponse:
        """Notes that it was asked to."""
        return await self._noted(context, pb.ResetResponse())

    async def MakeSecret(self, request: pb.MakeSecretRequest, context: Any) -> pb.MakeSecretResponse:
        """Makes another one each time."""
        return await self._noted(context, pb.MakeSecretResponse(secret=uuid.uuid4().hex))

    async def _noted(self, context: Any, answer: M) -> M:
        key = str(_metadata(context)[KEY])

        def work(transaction: Transaction) -> M:
            record(transaction, _tenant(), key, 0)
            return answer

        with self._world.handling(key):
            return await self._commit(key, context, work)

    async def _commit(self, key: str, context: Any, work: Callable[[Transaction], M]) -> M:
        answer = await self._world.unit.run(work)
        self._world.journal.note("committed", key)
        if HANG in _metadata(context):
            await asyncio.Event().wait()
        return answer


class Policies(pb_grpc.PolicyServiceServicer):
    """Reads that are hedged, kept, or sent once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._serial = 0

    async def Hedged(self, request: pb.HedgedRequest, context: Any) -> pb.HedgedResponse:
        """Answers once."""
        with self._world.handling(request.behaviour.attempt_key):
            return pb.HedgedResponse(attempt=await self._world.behave(request.behaviour, context))

    async def HedgedMany(self, request: pb.HedgedManyRequest, context: Any) -> AsyncIterator[pb.HedgedManyResponse]:
        """Answers `count` times."""
        with self._world.handling(request.behaviour.attempt_key):
            attempt = await self._world.behave(request.behaviour, context)
            for index in range(request.count):
                yield pb.HedgedManyResponse(attempt=attempt, index=index)

    async def Cached(self, request: pb.CachedRequest, context: Any) -> pb.CachedResponse:
        """Answers with a number that grows."""
        with self._world.handling(request.behaviour.attempt_key):
            self._serial += 1
            attempt = await self._world.behave(request.behaviour, context)
            return pb.CachedResponse(value=request.value, attempt=attempt, serial=self._serial)

    async def Once(self, request: pb.OnceRequest, context: Any) -> pb.OnceResponse:
        """Answers once."""
        with self._world.handling(request.behaviour.attempt_key):
            return pb.OnceResponse(attempt=await self._world.behave(request.behaviour, context))


async def _abort_and_go_on(context: Any) -> None:
    """What no handler should do, and some do."""
    with suppress(Exception):
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing is there")


def _metadata(context: Any) -> dict[str, Any]:
    return dict(context.invocation_metadata() or ())


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _tenant() -> str:
    call = current_call()
    return call.tenant_id if call is not None else ""
