"""Calls and streams for a long time, one in ten of them left by its caller: nothing grows on either side."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb

from tests.faults.calls.calling import Caller, calling
from tests.faults.calls.instance import Instance
from tests.faults.calls.load import open_loop
from tests.shop.waiting import until

FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
SECONDS = float(os.environ.get("SOAK_S", "900")) if FULL else 15.0
"""How long; a quarter of an hour with TRUNKLINE_FAULTS_FULL=1, or SOAK_S seconds."""
PER_S = 200.0 if FULL else 100.0
"""Calls a second, half of them streams; in CI they share two cores with other tests."""
LEFT_EVERY = 10
"""Every tenth is left by its caller."""
GROWTH_KB_PER_MIN = 1024 if FULL else 40 * 1024
"""What a process may grow by in a minute; in a few seconds allocators are not yet settled."""


class Meters:
    """What a process holds, second by second (harness P9)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.resident_kb: list[int] = []
        self.files: list[int] = []
        self.threads: list[int] = []

    def read(self) -> None:
        """Reads once."""
        status = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        told = dict(line.split(":", 1) for line in status if ":" in line)
        self.resident_kb.append(int(told["VmRSS"].split()[0]))
        self.threads.append(int(told["Threads"]))
        self.files.append(len(list(Path(f"/proc/{self._pid}/fd").iterdir())))

    def growth_kb_per_min(self) -> float:
        """How fast memory grows, by the second half: the first one warms up."""
        half = self.resident_kb[len(self.resident_kb) // 2 :]
        if len(half) < 2:
            return 0.0
        slope, _ = statistics.linear_regression(range(len(half)), half)
        return slope * 60


async def one(caller: Caller, number: int) -> None:
    """A call or a stream; every tenth is left."""
    leaves = number % LEFT_EVERY == 0
    if number % 2:
        call = caller.ping(f"soak-{number}", sleep_ms=20 if leaves else 0)
        if leaves:
            await asyncio.sleep(0.005)
            call.cancel()
        try:
            await call
        except asyncio.CancelledError:
            if not leaves:
                raise
        return
    stream: Any = caller.pings.PingMany(pb.PingManyRequest(value="v", count=5))
    async for _ in stream:
        if leaves:
            stream.cancel()
            return


@pytest.mark.timeout(SECONDS + 120)
async def test_a_long_time(tmp_path: Path):
    """H4: memory, files, threads and tasks of the server and of the caller stay level, and no call fails."""
    with Instance(tmp_path / "server") as server:
        async with calling(server.target) as caller:
            meters = {"server": Meters(server.pid), "caller": Meters(os.getpid())}
            tasks: list[int] = []

            async def watch() -> None:
                while True:
                    for one in meters.values():
                        one.read()
                    tasks.append(len(asyncio.all_tasks()))
                    await asyncio.sleep(1.0)

            watching = asyncio.create_task(watch())
            outcomes = await open_loop(lambda number: one(caller, number), per_s=PER_S, seconds=SECONDS)
            watching.cancel()
            await asyncio.wait({watching})
            await until(lambda: not server.journal.running(), "no handler runs on")
            gc.collect()
            for name, told in meters.items():
                print(f"{name}: {told.growth_kb_per_min():.0f} KB a minute, {told.resident_kb[-1]} KB in the end")
            ends = Counter(outcome.reason for outcome in outcomes)
            print(f"calls: {dict(ends)}")
            for name, told in meters.items():
                assert told.growth_kb_per_min() < GROWTH_KB_PER_MIN, (name, told.resident_kb)
                assert max(told.files[-5:]) <= told.files[len(told.files) // 2] + 5, (name, told.files)
                assert max(told.threads[-5:]) <= told.threads[len(told.threads) // 2] + 5, (name, told.threads)
            await until(lambda: len(asyncio.all_tasks()) <= 5, "no task is left of any call")
            assert ends == Counter({"": int(PER_S * SECONDS)})
            await caller.is_well()
