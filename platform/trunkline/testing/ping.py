"""The bench: a real server on a free port, with one rpc of every shape, and counters of what reached it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc

from trunkline.auth.credential import Credential
from trunkline.call import current_call
from trunkline.client import CLIENT_ORDER, PeerChannel, connect
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError
from trunkline.interceptors.host import Maker as ServerMaker
from trunkline.interceptors.peer import Maker as ClientMaker
from trunkline.server import SERVER_ORDER, Server
from trunkline.service import Service
from trunkline.settings import PlatformSettings
from trunkline.testing.faults import FaultPlan

CODES = {code.value[0]: code for code in grpc.StatusCode}
BENCH_SETTINGS = PlatformSettings(profile="test", drain_wait_s=0.0, drain_s=1.0, log_level="error")
"""Settings for tests: no waiting in a drain."""


@dataclass(slots=True)
class Reached:
    """What reached the handlers."""

    calls: Counter[str] = field(default_factory=Counter)
    """Calls by method name."""
    attempts: Counter[str] = field(default_factory=Counter)
    """Calls by attempt key."""
    cancelled: Counter[str] = field(default_factory=Counter)
    """Handlers that were cancelled, by method name."""
    remaining_ms: list[int] = field(default_factory=list)
    """What was left of each call's deadline; -1 without one."""


class PingServicer(pb_grpc.PingServiceServicer):
    """Answers, waits or fails as the request asks."""

    def __init__(self, reached: Reached, clock: Clock = SYSTEM_CLOCK) -> None:
        self._reached = reached
        self._clock = clock

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Answers once."""
        attempt = await self._begin("Ping", request.behaviour)
        return pb.PingResponse(value=request.value, attempt=attempt, remaining_ms=self._reached.remaining_ms[-1])

    async def PingMany(self, request: pb.PingManyRequest, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """Answers `count` times; an asked-for failure comes after `fail_after` of them."""
        failure: ServiceError | None = None
        attempt = 0
        try:
            attempt = await self._begin("PingMany", request.behaviour)
        except ServiceError as error:
            failure = error
        for index in range(request.fail_after if failure else request.count):
            yield pb.PingManyResponse(value=request.value, index=index, attempt=attempt)
        if failure:
            raise failure

    async def PingAll(self, request_iterator: AsyncIterator[pb.PingAllRequest], context: Any) -> pb.PingAllResponse:
        """Collects."""
        values, attempt = [], 0
        async for request in request_iterator:
            values.append(request.value)
            attempt = await self._begin("PingAll", request.behaviour)
        return pb.PingAllResponse(values=values, attempt=attempt)

    async def PingChat(
        self, request_iterator: AsyncIterator[pb.PingChatRequest], context: Any
    ) -> AsyncIterator[pb.PingChatResponse]:
        """Answers each."""
        async for request in request_iterator:
            attempt = await self._begin("PingChat", request.behaviour)
            yield pb.PingChatResponse(value=request.value, attempt=attempt)

    async def _begin(self, name: str, behaviour: pb.Behaviour) -> int:
        self._reached.calls[name] += 1
        call = current_call()
        left = -1 if call is None or call.deadline is None else int((call.deadline - self._clock.monotonic()) * 1000)
        self._reached.remaining_ms.append(left)
        try:
            return await behave(self._reached, behaviour)
        except asyncio.CancelledError:
            self._reached.cancelled[name] += 1
            raise


async def behave(reached: Reached, behaviour: pb.Behaviour) -> int:
    """Does what the request asks; gives the number of the attempt."""
    attempt = 0
    if behaviour.attempt_key:
        reached.attempts[behaviour.attempt_key] += 1
        attempt = reached.attempts[behaviour.attempt_key]
    if behaviour.sleep_ms:
        await asyncio.sleep(behaviour.sleep_ms / 1000)
    if behaviour.raise_text:
        raise ValueError(behaviour.raise_text)
    if 0 < attempt <= len(behaviour.fail_with) and (code := behaviour.fail_with[attempt - 1]):
        raise ServiceError(CODES[code], "AS_ASKED", "the request asked for this", {"attempt": str(attempt)})
    return attempt


@dataclass(slots=True)
class Bench:
    """A running bench."""

    channel: PeerChannel
    """To the server, with the client chain."""
    ping: pb_grpc.PingServiceAsyncStub
    """Stub of PingService on that channel."""
    reached: Reached
    """What reached the server."""
    server: Server
    """The server."""


@asynccontextmanager
async def bench(
    *,
    ping: pb_grpc.PingServiceServicer | None = None,
    servicers: Sequence[object] = (),
    service: dict[str, Any] | None = None,
    credential: Credential | None = None,
    settings: PlatformSettings = BENCH_SETTINGS,
    clock: Clock = SYSTEM_CLOCK,
    client_order: tuple[ClientMaker, ...] = CLIENT_ORDER,
    server_order: tuple[ServerMaker, ...] = SERVER_ORDER,
    faults: FaultPlan | None = None,
) -> AsyncIterator[Bench]:
    """A server with PingService and the given servicers on a free port, and a channel to it.

    Args:
        ping: instead of the bench's own PingServicer; nothing is counted then.
        servicers: served beside PingService.
        service: further fields of Service, such as verifier or answers.
        credential: of the channel.
        settings: of both sides.
        clock: of both sides: deadlines, breakers, budgets and limits.
        client_order: links of the client chain.
        server_order: links of the server chain.
        faults: what happens to the attempts of the channel.
    """
    reached = Reached()
    if faults is not None:
        client_order = (*client_order, faults.link)
    served = Service(name="ping", servicers=[ping or PingServicer(reached, clock), *servicers], **(service or {}))
    async with Server([served], settings, clock=clock, order=server_order) as server:
        target = f"dns:///{settings.listen_host}:{server.port}"
        async with connect(
            "ping", credential=credential, target=target, settings=settings, clock=clock, order=client_order
        ) as channel:
            stub: Any = pb_grpc.PingServiceStub(channel)
            yield Bench(channel, stub, reached, server)
