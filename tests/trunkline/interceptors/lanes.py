"""Attempts that take as long as a test likes: the bench of what is hedged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.errors import ServiceError
from trunkline.policies.latency import LatencyWindow
from trunkline.telemetry.metrics import METRICS, ClientMetrics
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.servicers import Policies, highest, until

SERVICE = "/trunk.testing.v1.PolicyService/"
DELAY_S = 0.05
"""Seconds after which the contract hedges an answer, until it is known how long they take."""
SHAPES = ("Hedged", "HedgedMany")
MESSAGES = 3


class Lane:
    """A bench where every attempt waits in its handler until it is let go, and every wait until it is over."""

    def __init__(self, on: Bench, servicer: Policies, clock: FakeClock) -> None:
        self.on = on
        self.servicer = servicer
        self.clock = clock
        self.waits: list[float] = []
        self.due = asyncio.Event()
        self.outcomes: list[asyncio.Future[None]] = [asyncio.get_running_loop().create_future() for _ in range(9)]
        servicer.inside = self._attempt
        on.channel.peer.sleep = self._sleep
        on.channel.peer.uniform = highest

    async def _attempt(self, number: int) -> None:
        await asyncio.shield(self.outcomes[number])

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.due.clear()
        await self.due.wait()

    def begin(self, shape: str = "Hedged", **options: Any) -> asyncio.Task[list[Any]]:
        """A call; gives all its answers."""
        stub: Any = pb_grpc.PolicyServiceStub(self.on.channel)

        async def run() -> list[Any]:
            if shape == "Hedged":
                return [await stub.Hedged(pb.HedgedRequest(value="v"), **options)]
            request = pb.HedgedManyRequest(value="v", count=MESSAGES)
            return [message async for message in stub.HedgedMany(request, **options)]

        return asyncio.create_task(run())

    async def reached(self, attempts: int) -> None:
        """Returns when so many attempts are at the server."""
        await until(lambda: self.servicer.calls == attempts)

    async def cancelled(self, attempts: int) -> None:
        """Returns when so many handlers were cancelled."""
        await until(lambda: self.servicer.cancelled == attempts)

    async def hedge(self, attempts: int) -> None:
        """Lets the time be over, and returns when so many attempts are at the server, in their order."""
        await until(lambda: self.servicer.calls >= attempts - 1)
        await until(lambda: not self.due.is_set() and bool(self.waits))
        self.due.set()
        await self.reached(attempts)

    def answer(self, number: int) -> None:
        """Lets an attempt answer."""
        self.outcomes[number].set_result(None)

    def fail(self, number: int, error: ServiceError) -> None:
        """Lets an attempt fail."""
        self.outcomes[number].set_exception(error)

    def told(self, shape: str = "Hedged") -> ClientMetrics:
        """What is counted of the calls."""
        return METRICS.client("ping", SERVICE + shape)

    def latency(self, shape: str = "Hedged") -> LatencyWindow:
        """What is known of how long answers take."""
        return self.on.channel.peer.latencies[SERVICE + shape]


@asynccontextmanager
async def opened(clock: FakeClock) -> AsyncIterator[Lane]:
    """A lane; in the end handlers that still wait are let go."""
    servicer = Policies()
    async with bench(servicers=[servicer], clock=clock) as on:
        lane = Lane(on, servicer, clock)
        yield lane
        for one in lane.outcomes:
            if not one.done() or one.exception() is not None:
                one.cancel()
