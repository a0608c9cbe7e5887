"""Fifty calls a second, none of which may fail, while something is exchanged under them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.clock import SystemClock

from tests.faults.calls.load import Outcome, open_loop

PER_S = 50.0
"""Calls a second."""
SECONDS = 60.0 if os.environ.get("TRUNKLINE_FAULTS_FULL") else 12.0
"""How long; with TRUNKLINE_FAULTS_FULL=1 a whole minute."""
DEADLINE_S = 5.0
"""Seconds a call may take: two cores are shared with other tests."""


class Swift(SystemClock):
    """The machine's clock, but so much faster: what takes minutes is seen in seconds."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._began = super().monotonic()
        self._date = datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that seem to have passed."""
        return self._began + (super().monotonic() - self._began) * self._factor

    def now(self) -> datetime:
        """The instant it seems to be."""
        return self._date + timedelta(seconds=self.monotonic() - self._began)


@dataclass
class Steady:
    """What became of the calls."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failed(self) -> Counter[str]:
        """Reasons of those that failed."""
        return Counter(one.reason for one in self.outcomes if one.reason)


@asynccontextmanager
async def calls(channel: Any, seconds: float = SECONDS) -> AsyncIterator[Steady]:
    """Calls through a channel all the time; leaving waits for the last, and none may have failed."""
    read: Any = pb_grpc.EffectServiceStub(channel).Read
    steady = Steady()

    async def one(_: int) -> None:
        await read(pb.ReadRequest(), timeout=DEADLINE_S)

    load = asyncio.create_task(open_loop(one, per_s=PER_S, seconds=seconds, tell=steady.outcomes.append))
    try:
        yield steady
        await load
    finally:
        load.cancel()
        await asyncio.wait({load})
    assert (len(steady.outcomes), steady.failed) == (int(PER_S * seconds), Counter())
