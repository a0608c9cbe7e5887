"""Where a case is played: a running bench, the script of its handlers, and the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from trunkline.client import PeerChannel
from trunkline.clock import Clock
from trunkline.errors import ServiceError
from trunkline.interceptors.peer import Peer
from trunkline.policies.breaker import Breaker
from trunkline.server import Server
from trunkline.testing.conformance.expected import Plan
from trunkline.testing.conformance.rpcs import STREAM
from trunkline.testing.conformance.servicers import Script
from trunkline.testing.conformance.watch import BOUND_S, until
from trunkline.testing.fault_proxy import FaultProxy

READY = grpc.ChannelConnectivity.READY
LONG_AGO_S = 3600.0
"""Seconds after which an open breaker lets a probe pass, whatever its settings."""


@dataclass(slots=True)
class Seen:
    """How a call ended for its caller."""

    messages: int = 0
    """Messages it received."""
    raised: str = ""
    """What was raised: ServiceError, CancelledError, or anything else; empty for an answer."""
    code: grpc.StatusCode | None = None
    """Of the ServiceError."""
    reason: str = ""
    """Of the ServiceError."""
    told: grpc.StatusCode | None = None
    """What the call object says it ended with."""
    done: bool = False
    """Whether the call object says that it has ended."""
    cancelled: bool = False
    """Whether the call object says that it was cancelled."""


@dataclass(slots=True)
class Caller:
    """Who makes a call and takes all that comes of it, in a task of its own."""

    streams: bool
    """A stream is taken."""
    call: Any = None
    """The call object, once the call is made."""
    seen: Seen = field(default_factory=Seen)
    """How it ended."""
    task: asyncio.Task[None] = field(init=False)
    """What it does."""

    def start(self, make: Callable[[], Any]) -> Self:
        """Begins. A unary call that is awaited where it is made runs in this very task."""
        self.task = asyncio.create_task(self._take(make))
        return self

    async def _take(self, make: Callable[[], Any]) -> None:
        seen = self.seen
        try:
            self.call = make()
            if self.streams:
                async for _ in self.call:
                    seen.messages += 1
            else:
                await self.call
                seen.messages += 1
        except ServiceError as error:
            seen.raised, seen.code, seen.reason = "ServiceError", error.code, error.reason
        except asyncio.CancelledError:
            seen.raised = "CancelledError"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            seen.raised = repr(error)


class Stage:
    """One case while it is played."""

    def __init__(
        self,
        plan: Plan,
        script: Script,
        *,
        server: Server,
        channel: PeerChannel,
        clock: Clock,
        proxy: FaultProxy | None,
    ) -> None:
        self.plan = plan
        """What it is about."""
        self.script = script
        """What the handlers do, and have seen."""
        self.server = server
        """The server."""
        self.channel = channel
        """To the server, with the client chain."""
        self.clock = clock
        """Time of both sides."""
        self.proxy = proxy
        """Between the two, where the connection is to be cut."""
        self.hedge_due = asyncio.Event()
        """Set when slow attempts are to be hedged; until then time stands still for them."""
        self.seen: Seen | None = None
        """How the call ended; None: nobody waits for its end."""
        self.problems: list[str] = []
        """What was not as it must be."""
        self.connected = 0
        """Connections that there were before the last cut."""
        self.opened = 0
        """Streams of requests that were begun."""
        self.closed = 0
        """Of these, those that were let go."""
        self.peer.sleep = self._pause
        self.peer.uniform = _a_third
        if plan.half_open:
            self.peer.breakers[plan.rpc.method.path] = self.opened_breaker(LONG_AGO_S)

    @property
    def peer(self) -> Peer:
        """What the client knows of the server."""
        return self.channel.peer

    def opened_breaker(self, ago_s: float) -> Breaker:
        """A breaker that opened so many seconds ago."""
        guard, opened_at = Breaker(self.peer.breaker_settings, _a_third), self.clock.monotonic() - ago_s
        while (permit := guard.admit(opened_at)) is not None:
            guard.report(permit, opened_at, failed=True)
        return guard

    def forget(self) -> None:
        """Nothing has happened yet."""
        self.script.handled, self.script.metadata, self.seen = 0, [], None
        self.opened = self.closed = 0

    def begin(self, value: str = "first", *, held: bool = False, requests: int = STREAM, **options: Any) -> Any:
        """Begins a call.

        Args:
            value: of the request.
            held: the caller sends one of its requests and keeps the stream open.
            requests: messages of a stream of requests; 0: the caller writes them.
            options: of the call, such as `timeout`.
        """
        sent = self._requests(value, 1 if held else requests, held) if requests else None
        return self.plan.rpc.begin(self.channel, value, sent, **options)

    def calling(self, value: str = "first", **options: Any) -> Caller:
        """Somebody who makes a call as begin() does, and waits for it there and then."""
        return self._caller().start(lambda: self.begin(value, **options))

    def reading(self, call: Any) -> Caller:
        """Somebody who waits for a call that is made already."""
        return self._caller().start(lambda: call)

    def _caller(self) -> Caller:
        return Caller(self.plan.rpc.method.server_streaming)

    async def ended(self, caller: Caller) -> None:
        """Waits for the end of a call; it is the one that the case is about."""
        self.seen = caller.seen
        await asyncio.wait({caller.task}, timeout=BOUND_S)
        if not caller.task.done():
            self.problems.append(f"the call has not ended after {BOUND_S:.0f} s")
            caller.task.cancel()
            return
        if caller.call is not None:
            await self.agree(caller.call, caller.seen)

    async def agree(self, call: Any, seen: Seen) -> None:
        """Asks the call object how the call ended."""
        asking = asyncio.create_task(call.code())
        await asyncio.wait({asking}, timeout=BOUND_S)
        if not asking.done() or asking.cancelled() or asking.exception() is not None:
            self.problems.append(f"code() of the call does not tell: {asking!r}")
            asking.cancel()
            return
        seen.told, seen.done, seen.cancelled = asking.result(), call.done(), call.cancelled()

    async def cut(self) -> None:
        """Cuts the connection."""
        assert self.proxy is not None
        self.connected = self.proxy.counts.connections
        await self.proxy.reset_connections()

    async def under_way(self, caller: Caller) -> None:
        """Returns when the call is stuck in its handler, and what that has sent before has arrived."""
        await self.stuck()
        if self.script.late:
            await self.happens("the first message arrives", lambda: caller.seen.messages == 1)

    async def stuck(self, number: int = 1) -> None:
        """Returns when so many calls are stuck in their handlers."""
        await self.happens(f"{number} calls reach the handler", lambda: self.script.waiting >= number)

    async def happens(self, what: str, condition: Any) -> None:
        """Returns when a condition holds; it is a problem if that takes too long."""
        if not await until(condition):
            self.problems.append(f"{what}: not within {BOUND_S:.0f} s")

    async def _requests(self, value: str, number: int, held: bool) -> AsyncIterator[Message]:
        self.opened += 1
        try:
            for _ in range(number):
                yield self.plan.rpc.request(value)
            if held:
                await asyncio.Event().wait()
        finally:
            self.closed += 1

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(0)
        if self.plan.hedged and seconds == self.plan.rpc.method.hedge_delay_s:
            await self.hedge_due.wait()
        elif self.proxy is not None:
            # A connection was cut: both sides notice before the next attempt comes.
            await until(lambda: self.script.cancelled > 0 and self._lost())

    def _lost(self) -> bool:
        # On a busy machine the channel may have the next connection before anybody looks.
        assert self.proxy is not None
        return self.channel.get_state() is not READY or self.proxy.counts.connections > self.connected


def _a_third(low: float, high: float) -> float:
    # Neither the lowest, which is no wait at all, nor what makes a backoff as long as the wait for a hedge.
    return low + (high - low) / 3
