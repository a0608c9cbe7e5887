"""A backlog drains while a publisher goes on selling: what its commits take meanwhile, and what memory it needs."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from trunkline.events import Relay
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage import Database, Outbox
from trunkline.storage.leases import Leases

from bench.eventing.feed import PLATFORM, TOPIC, append, fill_outbox, opened
from bench.eventing.latency import at, until_confirmed

TERMINALS, SELLING = 100, 1000
"""Terminals of the backlog; number of the one that sells."""
PER_S = 10
"""Sales a second: each a commit with its event, in the process that relays."""
USUAL_S = 15.0
"""Seconds of selling without a backlog."""
DRAIN_S = 600.0
"""Seconds that a drain may take."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What was seen."""

    usual_p99_ms: float
    """Of a commit without a backlog."""
    draining_p99_ms: float
    """While it drained."""
    per_s: float
    """Events of the backlog that had their effect, a second."""
    publisher_mb: float
    """By how much the publisher's memory grew while it drained."""
    reader_mb: float
    """Most memory that the reader had."""


async def drain(folder: Path, redis: EmbeddedRedis, count: int) -> Drained:
    """Publishes so many events while nobody relays or reads, then has them relayed and read."""
    async with opened(folder / "cart.db") as database:
        await fill_outbox(database, count, TERMINALS)
        began, sold = time.monotonic(), list[float]()
        await _sell(database, sold, lambda: time.monotonic() - began > USUAL_S)
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.eventing.reader_program", str(folder / "report.db"), redis.url,
            str(folder / "kept.json"),
        )  # fmt: skip
        try:
            return await _drain(database, redis, reader.pid, count, sorted(sold))
        finally:
            reader.send_signal(signal.SIGTERM)
            await reader.wait()


async def _drain(database: Database, redis: EmbeddedRedis, reader: int, count: int, usual: list[float]) -> Drained:
    leases = Leases(database, PLATFORM)
    relay = Relay(database, PLATFORM, redis.url, source=TOPIC.publisher, topics=[TOPIC], leases=leases)
    stop, over, sold, memory = asyncio.Event(), asyncio.Event(), list[float](), list[float]()
    before, began = _rss_mb(0), time.monotonic()
    running = [asyncio.create_task(one.run(stop)) for one in (leases, relay)]
    selling = asyncio.create_task(_sell(database, sold, over.is_set, wake=relay.wake))
    watching = asyncio.create_task(_watch(reader, memory, over))
    try:
        async with asyncio.timeout(DRAIN_S):
            while relay.counts.sent < count:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.1)
            over.set()
            await selling
            await until_confirmed(redis.url, DRAIN_S)
    finally:
        over.set()
        stop.set()
        await asyncio.gather(*running, watching)
        await leases.end()
    took = time.monotonic() - began
    return Drained(at(usual, 0.99), at(sorted(sold), 0.99), count / took, max(0.0, _rss_mb(0) - before), max(memory))


async def _sell(
    database: Database, took_ms: list[float], over: Callable[[], bool], *, wake: Callable[[], None] | None = None
) -> None:
    """Sells at a steady pace until it is over."""
    outbox, number, began = Outbox(PLATFORM, TOPIC.publisher), len(took_ms), time.monotonic()
    last = await database.read(lambda connection: connection.scalar(_LAST)) or 0
    while not over():
        await asyncio.sleep(max(0.0, began + number / PER_S - time.monotonic()))
        number, started = number + 1, time.perf_counter()
        await database.write(partial(_sale, outbox, last + number))
        took_ms.append((time.perf_counter() - started) * 1000)
        if wake is not None:
            wake()


_NUMBERS = PLATFORM.outbox_number.c
_LAST = sa.select(_NUMBERS.number).where(_NUMBERS.key == f"bench/bench/{SELLING}")


def _sale(outbox: Outbox, number: int, connection: sa.Connection) -> None:
    append(outbox, connection, SELLING, number)


async def _watch(pid: int, memory: list[float], over: asyncio.Event) -> None:
    memory.append(_rss_mb(pid))
    while not over.is_set():
        await asyncio.sleep(0.5)
        memory.append(_rss_mb(pid))


def _rss_mb(pid: int) -> float:
    """Memory of a process; 0: this one."""
    status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
