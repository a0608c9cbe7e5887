"""Redis, the database and the consumer itself go away: nothing is lost, and nothing has its effect twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from trunkline.events.streams import link
from trunkline.events.streams.link import RedisUnavailable
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.storage import Database, SqliteDatabase
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import (
    BOUND_S,
    GROUP,
    METADATA,
    PLATFORM,
    add,
    consumer,
    envelope,
    opened,
    publish,
    relay,
    rows,
    running,
    seen,
    until,
    until_seen,
)

Logs = list[MutableMapping[str, Any]]
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "empty"])
async def test_redis_goes_and_comes_back(publisher: Database, reader: Database, tmp_path: Path, how: str, keeps: bool):
    """Ended either way, coming back with its data or empty, with events committed meanwhile: each arrives once."""
    async with embedded_redis(tmp_path / "redis", persistent=keeps) as server:
        sender, receiver = relay(publisher, server.url), consumer(reader, server.url)
        async with running(sender, receiver):
            for count in range(40):
                if count == 15:
                    await _end(server, how)
                if count == 30:
                    await server.start()
                await publish(publisher, f"{count}", key=f"t/s/{count % 4}")
                sender.wake()
            await until(lambda: receiver.counts.applied == 40)
            await until(lambda: sender.counts.confirmed == 40)

    for terminal in range(4):
        assert [number for number, _ in await seen(reader, f"t/s/{terminal}")] == list(range(1, 11))
    assert receiver.counts.holes == receiver.counts.dead == 0


async def _end(server: EmbeddedRedis, how: str) -> None:
    if how == "SIGTERM":
        await server.stop()
    else:
        server.kill()


async def test_redis_comes_back_empty_while_nobody_had_read(
    publisher: Database, reader: Database, own_server: EmbeddedRedis
):
    """All that was not confirmed is sent again, and has its effect once."""
    sender = relay(publisher, own_server.url)
    async with running(sender):
        await publish(publisher, *map(str, range(600)))
        await until(lambda: sender.counts.sent == 600)
        own_server.kill()
        await own_server.start()
        await until(lambda: sender.counts.sent == 1200)
        async with running(receiver := consumer(reader, own_server.url)):
            await until(lambda: receiver.counts.applied == 600)

    assert [number for number, _ in await seen(reader)] == list(range(1, 601))
    assert sender.counts.lost == 600


async def test_redis_stands_still(
    publisher: Database, reader: Database, own_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
):
    """A server that is frozen and goes on may have every entry twice; every effect is there once."""
    monkeypatch.setattr(link, "ANSWER_S", 0.3)
    sender, receiver = relay(publisher, own_server.url), consumer(reader, own_server.url)
    async with running(sender, receiver):
        await publish(publisher, "before")
        await until(lambda: receiver.counts.applied == 1)
        os.kill(own_server.pid, signal.SIGSTOP)
        await publish(publisher, "during")
        sender.wake()
        await until(lambda: sender.outage.error)
        os.kill(own_server.pid, signal.SIGCONT)
        await publish(publisher, "after")
        await until_seen(reader, [1, 2, 3], "t/s/1")


async def test_connections_are_cut_again_and_again(publisher: Database, reader: Database, client: Any, url: str):
    """Whoever cuts all connections in the middle of the traffic loses nothing and doubles nothing."""
    sender, receiver = relay(publisher, url), consumer(reader, url)
    async with running(sender, receiver):
        for count in range(60):
            await publish(publisher, str(count), key=f"t/s/{count % 3}")
            sender.wake()
            if count % 10 == 5:
                await client.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: receiver.counts.applied == 60)

    for terminal in range(3):
        assert [number for number, _ in await seen(reader, f"t/s/{terminal}")] == list(range(1, 21))


async def test_a_consumer_was_away(publisher: Database, reader: Database, url: str):
    """What was published meanwhile is applied when it is back, after what it had."""
    sender = relay(publisher, url)
    async with running(sender):
        await publish(publisher, "one")
        async with running(consumer(reader, url)):
            await until_seen(reader, [1])
        await publish(publisher, "two", "three")
        await until(lambda: sender.counts.sent == 3)
        async with running(consumer(reader, url)):
            await until_seen(reader, [1, 2, 3])


async def test_nothing_is_stranded_by_graceful_stops(publisher: Database, reader: Database, client: Any, url: str):
    """Consumers that stop and start in the middle of the traffic leave nothing assigned to nobody."""
    sender = relay(publisher, url)
    applied = 0
    async with running(sender):
        for round_ in range(10):
            receiver = consumer(reader, url)
            async with running(receiver):
                await publish(publisher, *map(str, range(20)))
                sender.wake()
                await until(lambda receiver=receiver: receiver.counts.applied > 0)  # type: ignore[misc]
            applied += receiver.counts.applied
            assert applied <= 20 * (round_ + 1)
        async with running(consumer(reader, url)):
            await until_seen(reader, list(range(1, 201)))

    assert (await client.xpending("{notes:4}", GROUP))["pending"] == 0


async def test_killed_between_commit_and_acknowledgement(tmp_path: Path, client: Any, url: str):
    """A process that dies there has had the effect; its successor is given the events again, and has no second one."""
    database_file = tmp_path / "reader.db"
    await add(client, *(envelope(number) for number in range(1, 31)))

    program = [sys.executable, "-m", "tests.trunkline.events.reader_program", str(database_file), url]
    process = await asyncio.create_subprocess_exec(*program, cwd=ROOT)
    async with asyncio.timeout(3 * BOUND_S):
        assert await process.wait() == -signal.SIGKILL

    assert (await client.xpending("{notes:4}", GROUP))["pending"] == 30
    async with opened(database_file) as database:
        assert [number for number, _ in await seen(database)] == list(range(1, 31))
        receiver = consumer(database, url)
        async with running(receiver):
            await add(client, envelope(31))
            await until_seen(database, list(range(1, 32)))
        assert receiver.counts.duplicates == 30
    assert (await client.xpending("{notes:4}", GROUP))["pending"] == 0


async def test_the_database_is_away(tmp_path: Path, client: Redis, url: str, clock: FakeClock, event_logs: Logs):
    """Nobody is to blame: the consumer pauses, says so once, and goes on where it was; no event is a dead letter."""
    database = SqliteDatabase(tmp_path / "reader.db", METADATA, busy_timeout_s=0.01)
    await database.open()
    receiver = consumer(database, url, clock=clock)
    async with running(receiver):
        await add(client, envelope(1))
        await until_seen(database, [1])
        await receiver.check()
        intruder = sqlite3.connect(tmp_path / "reader.db", isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        await add(client, envelope(2), envelope(3))
        await until(lambda: receiver.outage._tries >= 5)
        with pytest.raises(RedisUnavailable, match="locked by somebody else"):
            await receiver.check()
        intruder.execute("ROLLBACK")
        intruder.close()
        await until_seen(database, [1, 2, 3])
        await until(lambda: receiver.outage._tries == 0)

    assert receiver.counts.parked == receiver.counts.dead == 0
    assert await rows(database, PLATFORM.dead_letter) == []
    await database.close()
    events = [one["event"] for one in event_logs if one.get("loop") == "reader consumer"]
    assert events == ["paused until it is back", "is back"]
