"""A caller that does nothing wrong while others do: its calls must go on."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Self

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.settings import PlatformSettings

from tests.faults.hostile.victim import Victim

PAUSE_S, DEADLINE_S = 0.02, 4.5
"""Seconds between two of its calls, and seconds it gives each."""


class Polite:
    """Calls again and again on a connection of its own. An async context manager; entering it makes the first call.

    A call that fails is a failure of the test, on leaving. Nothing is repeated: what fails once has failed.
    """

    def __init__(self, victim: Victim) -> None:
        settings = PlatformSettings(profile="test", retry_attempts=1)
        self._channel: Any = connect("target", target=victim.target, settings=settings)
        self._stub: Any = pb_grpc.PingServiceStub(self._channel)
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self.seconds: list[float] = []
        """How long each call took."""
        self.failures: list[BaseException] = []
        """What went wrong."""

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        await self._call()
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        assert self._task is not None
        await self._task
        await self._channel.__aexit__(None, None, None)

    def late(self, share: float) -> float:
        """Seconds that this share of its calls did not exceed."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * share))]

    async def _go_on(self) -> None:
        while not self._ending.is_set():
            try:
                await self._call()
            except Exception as error:  # noqa: BLE001 - told at the end
                self.failures.append(error)
            await asyncio.sleep(PAUSE_S)

    async def _call(self) -> None:
        begun = time.monotonic()
        answer = await self._stub.Ping(pb.PingRequest(value="hello"), timeout=DEADLINE_S)
        assert answer.value == "hello"
        self.seconds.append(time.monotonic() - begun)
