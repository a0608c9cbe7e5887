"""After any mixture of calls, cancellations and events nothing is left: no task, no flight, no permit, no count."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.errors import ServiceError, not_found, unavailable
from trunkline.policies.breaker import BreakerSettings
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.servicers import Policies, until

ROUNDS, CALLS, CANCELLATIONS = 10, 30, 12
SERVICE = "trunk.testing.v1.PolicyService/"


class Mixture:
    """Callers that do what dice say, and how they ended."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.ended: Counter[str] = Counter()
        self.stub: Any = None

    async def inside(self, _: int) -> None:
        """What a handler does."""
        await asyncio.sleep(self.dice.choice([0, 0, 0.001, 0.02, 0.1]))
        match self.dice.randrange(10):
            case 0:
                raise unavailable("LATER", "not now")
            case 1:
                raise not_found("GONE", "gone")

    async def call(self) -> None:
        """One caller."""
        try:
            await self._one(self.dice.randrange(7), self.dice.choice([None, 0.005, 0.05, 1.0]))
            self.ended["well"] += 1
        except ServiceError:
            self.ended["failed"] += 1
        except asyncio.CancelledError:
            self.ended["cancelled"] += 1
            raise

    async def _one(self, kind: int, within_s: float | None) -> None:
        match kind:
            case 0:
                await self.stub.Cached(pb.CachedRequest(value=self.dice.choice("abc")), timeout=within_s)
            case 1:
                await self.stub.Hedged(pb.HedgedRequest(), timeout=within_s)
            case 2:
                async for _ in self.stub.HedgedMany(pb.HedgedManyRequest(count=5), timeout=within_s):
                    if self.dice.random() < 0.1:
                        break
            case 3:
                call = self.stub.Cached(pb.CachedRequest(value="z"), timeout=within_s)
                await asyncio.sleep(0)
                if self.dice.random() < 0.5:
                    call.cancel()
                await call
            case 4:
                self.stub.Hedged(pb.HedgedRequest())
            case 5:
                self.stub.HedgedMany(pb.HedgedManyRequest(count=3))
            case _:
                stream = self.stub.HedgedMany(pb.HedgedManyRequest(count=3), timeout=within_s)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stream.read(), self.dice.choice([0, 0.001, 0.03]))

    async def play(self, on: Bench) -> None:
        """Some rounds of callers, of whom some are cancelled at some time."""
        self.stub = pb_grpc.PolicyServiceStub(on.channel)
        for _ in range(ROUNDS):
            callers = [asyncio.create_task(self.call()) for _ in range(CALLS)]
            for _ in range(CANCELLATIONS):
                await asyncio.sleep(self.dice.random() * 0.004)
                self.dice.choice(callers).cancel()
                if self.dice.random() < 0.2:
                    on.channel.peer.answers.forget("bench_changed")
            await asyncio.gather(*callers, return_exceptions=True)


def open_counts() -> dict[str, int]:
    """What seems to run of the service, on either side."""
    client = {f"client {one.method}": one.started - one.attempts.total() for one in METRICS.clients()}
    server = {f"server {one.method}": one.running for one in METRICS.servers()}
    return {name: count for name, count in {**client, **server}.items() if count and SERVICE in name}


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_left(seed):
    """Shared, hedged, streamed, dropped, cancelled or late: everything that was begun ends, and is counted as ended."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    mixture = Mixture(seed)
    async with bench(servicers=[Policies(mixture.inside)]) as on:
        on.channel.peer.breaker_settings = BreakerSettings(consecutive_failures=10**6, minimum_calls=10**6)
        await mixture.play(on)
        await until(lambda: gc.collect() >= 0 and not open_counts(), within_s=8.0)
        assert not on.channel.peer.answers.flights
        assert not [one for one in on.channel.peer.breakers.values() if one._probes]
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
    assert sum(mixture.ended.values()) > ROUNDS * CALLS / 2
    assert min(mixture.ended["well"], mixture.ended["failed"], mixture.ended["cancelled"]) > 0
