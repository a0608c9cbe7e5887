"""From a commit to its effect in the report service, in another process, commits coming at a steady pace."""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from trunkline.events import Relay
from trunkline.events.shard import Shard
from trunkline.events.stream_id import FIRST
from trunkline.events.streams.link import Link
from trunkline.events.topics import DEFAULT_SHARDS
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage import Database, Outbox
from trunkline.storage.leases import Leases

from bench.eventing.feed import PLATFORM, TOPIC, append, opened

PER_S = 100
"""Commits a second."""
TERMINALS = 20
GROUP = "report"
LEAD_IN = 100
"""Commits before it counts: the reader finds its shards."""
END_S = 20.0
"""Seconds within which everything that was committed must have had its effect."""


async def latencies(folder: Path, redis: EmbeddedRedis, seconds: float) -> list[float]:
    """Milliseconds from each commit to its effect, sorted."""
    out = folder / "kept.json"
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.eventing.reader_program", str(folder / "report.db"), redis.url, str(out)
    )
    try:
        async with opened(folder / "cart.db") as database:
            committed = await _publish(database, redis, LEAD_IN + round(seconds * PER_S))
    finally:
        if reader.returncode is None:
            reader.send_signal(signal.SIGTERM)
        await reader.wait()
    kept: dict[str, int] = json.loads(out.read_text())
    lost = committed.keys() - kept.keys()
    if lost:
        raise RuntimeError(f"{len(lost)} of {len(committed)} events had no effect within {END_S:.0f} s")
    taken = [(kept[event_id] - at) / 1e6 for event_id, at in committed.items()]
    return sorted(taken[LEAD_IN:])


async def _publish(database: Database, redis: EmbeddedRedis, count: int) -> dict[str, int]:
    leases = Leases(database, PLATFORM)
    await leases.beat()
    relay = Relay(database, PLATFORM, redis.url, source=TOPIC.publisher, topics=[TOPIC], leases=leases)
    stop = asyncio.Event()
    running = [asyncio.create_task(one.run(stop)) for one in (relay, leases)]
    outbox, ids = Outbox(PLATFORM, TOPIC.publisher), sa.select(PLATFORM.outbox.c.event_id)
    committed, started = dict[str, int](), time.monotonic()

    def work(connection: sa.Connection, *, index: int) -> None:
        append(outbox, connection, index % TERMINALS + 1, index // TERMINALS + 1)

    times = []
    for index in range(count):
        await asyncio.sleep(max(0.0, started + index / PER_S - time.monotonic()))
        await database.write(partial(work, index=index))
        times.append(time.monotonic_ns())
        relay.wake()
    events = await database.read(lambda connection: list(connection.scalars(ids.order_by(PLATFORM.outbox.c.id))))
    committed = dict(zip(events, times, strict=True))
    await until_confirmed(redis.url)
    stop.set()
    await asyncio.gather(*running)
    await leases.end()
    return committed


async def until_confirmed(url: str, bound_s: float = END_S) -> None:
    """Waits until the reader has confirmed all that is in the streams; the other groups do not run."""
    link, shards = Link(url, name="bench"), [Shard(TOPIC.name, number) for number in range(DEFAULT_SHARDS)]
    await link.connect()
    try:
        async with asyncio.timeout(bound_s):
            while await _behind(link, shards):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.05)
    finally:
        await link.close()


async def _behind(link: Link, shards: Sequence[Shard]) -> bool:
    return any(state.confirmed.get(GROUP, FIRST) < state.last for state in await link.inspect(shards))


def at(ordered: list[float], share: float) -> float:
    """The value that a share of them does not exceed."""
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def middle(ordered: list[float]) -> float:
    """The median."""
    return statistics.median(ordered)
