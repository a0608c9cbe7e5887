"""A caller of a server: stubs behind the client chain, and calls that have a name on both sides."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.client import PeerChannel, connect
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError
from trunkline.policies.breaker import BreakerState
from trunkline.testing.ping import BENCH_SETTINGS

from tests.faults.calls.servicers import KEY
from tests.shop.waiting import until
from tests.trunkline.interceptors.people import Named

HEAL_S = 20.0
"""Seconds within which all is well again, once a fault is over."""
SOON_S = 2.0
"""What is allowed on top of a time that is asserted: two cores are shared with other tests."""
ASIDE: dict[str, Any] = {"breaker_consecutive_failures": 10**6, "breaker_minimum_calls": 10**6}
"""Settings of a breaker that stands aside, where another rule is the subject."""


@dataclass(slots=True)
class Caller:
    """Stubs on one channel."""

    channel: PeerChannel
    pings: Any
    effects: Any
    policies: Any

    def ping(self, key: str, *, timeout: float | None = None, metadata: Any = (), **behaviour: Any) -> Any:
        """Begins a Ping; `sleep_ms`, `fail_with` and `raise_text` say how it goes."""
        request = pb.PingRequest(value=key, behaviour=pb.Behaviour(attempt_key=key, **behaviour))
        return self.pings.Ping(request, timeout=timeout, metadata=((KEY, key), *metadata))

    def once(self, key: str, *, timeout: float | None = None, wait: bool | None = None, **behaviour: Any) -> Any:
        """Begins a Once: its contract has a deadline of a second, and allows one attempt."""
        request = pb.OnceRequest(behaviour=pb.Behaviour(attempt_key=key, **behaviour))
        return self.policies.Once(request, timeout=timeout, metadata=((KEY, key),), wait_for_ready=wait)

    def add(self, key: str, amount: int = 5, *, name: str = "", metadata: Any = (), **behaviour: Any) -> Any:
        """Begins an Add under an idempotency key; its effect has the same name unless another is given."""
        request = pb.AddRequest(amount=amount, behaviour=pb.Behaviour(**behaviour))
        named = ((KEY, name or key), (headers.IDEMPOTENCY_KEY, key))
        return self.effects.Add(request, metadata=(*named, *metadata))

    async def is_well(self) -> None:
        """Demands that everything is well again by itself: calls succeed, and no breaker is open."""

        async def well() -> bool:
            try:
                await self.ping("is-well", timeout=1.0)
            except ServiceError:
                return False
            states = {one.state for path, one in self.channel.peer.breakers.items() if path.endswith("/Ping")}
            return states <= {BreakerState.CLOSED}

        await until(well, "calls succeed and the breaker is closed", HEAL_S)


def stubs(channel: Any) -> Caller:
    """Stubs on a channel."""
    return Caller(
        channel,
        pb_grpc.PingServiceStub(channel),
        pb_grpc.EffectServiceStub(channel),
        pb_grpc.PolicyServiceStub(channel),
    )


@asynccontextmanager
async def calling(
    target: str, *, who: str = "user", clock: Clock = SYSTEM_CLOCK, **settings: Any
) -> AsyncIterator[Caller]:
    """A caller with a channel of its own; settings are of the platform, such as `retry_attempts=1`."""
    chosen = BENCH_SETTINGS.model_copy(update=settings)
    async with connect("faulty", credential=Named(who), target=target, settings=chosen, clock=clock) as channel:
        yield stubs(channel)


@asynccontextmanager
async def stranger(target: str) -> AsyncIterator[Caller]:
    """Stubs without the client chain."""
    async with grpc.aio.insecure_channel(target) as channel:
        yield stubs(channel)


@dataclass(frozen=True, slots=True)
class Failed:
    """How a call failed, and how long that took."""

    error: ServiceError
    took_s: float

    @property
    def told(self) -> tuple[str, str]:
        """Code and reason."""
        return self.error.code.name, self.error.reason


async def failure(call: Awaitable[Any]) -> Failed:
    """The failure of a call."""
    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        await call
    return Failed(caught.value, time.monotonic() - began)


async def awaited(call: Awaitable[Any]) -> Any:
    """The answer of a call, for a task or a gather: a call object is no coroutine."""
    return await call


def repeated(*codes: grpc.StatusCode) -> list[int]:
    """Numbers of codes, for `fail_with`."""
    return [code.value[0] for code in codes]
