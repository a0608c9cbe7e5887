"""Replies of Redis to relay and consumer that are lost, forged, or refusals: each event once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.storage import Database
from trunkline.testing.resp_faults import (
    BUSY,
    LOADING,
    MASTERDOWN,
    NOPERM,
    READONLY,
    WRONGTYPE,
    cut_after,
    cut_before,
    drop_reply,
    misreport,
    refuse,
)
from trunkline.testing.resp_proxy import RespProxy

from tests.trunkline.events.notes import PLATFORM, consumer, opened, publish, relay, rows, running, seen, until

KEYS = ("t/s/1", "t/s/2", "t/s/3")
EACH = 40
BOUND_S = 40.0


@pytest.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[Database]:
    """Database of the notebook."""
    async with opened(tmp_path / "publisher.db") as database:
        yield database


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Database]:
    """Database of the reader."""
    async with opened(tmp_path / "reader.db") as database:
        yield database


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server of the test's own."""
    async with embedded_redis(tmp_path / "redis") as one:
        yield one


@pytest.fixture
async def proxy(server: EmbeddedRedis) -> AsyncIterator[RespProxy]:
    """Stands before it."""
    async with RespProxy("127.0.0.1", server.port) as one:
        yield one


async def _settled(reader: Database) -> None:
    """Everything that was published has its effect, once and in order; nothing was passed over."""
    applied = EACH * len(KEYS)

    async def done() -> bool:
        return len(await rows(reader, PLATFORM.inbox)) >= applied

    await until(done, BOUND_S)
    for key in KEYS:
        assert [number for number, _ in await seen(reader, key)] == list(range(1, EACH + 1))
    assert await rows(reader, PLATFORM.hole) == []
    assert await rows(reader, PLATFORM.dead_letter) == []


async def _day(publisher: Database, sender: Any) -> None:
    """Events of all keys in turn, while they are relayed."""
    for _ in range(EACH // 4):
        for key in KEYS:
            await publish(publisher, *("note" for _ in range(4)), key=key)
        sender.wake()
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", ["XADD", "PUBLISH", "XREADGROUP", "XACK", "EVAL", "HGETALL"])
@pytest.mark.parametrize(
    "fault", [drop_reply(), misreport(READONLY), cut_before(), cut_after()], ids=["lost", "forged", "before", "after"]
)
async def test_a_reply_is_lost_or_forged(publisher, reader, proxy, name, fault):
    """F15, F9: the command was executed, or not, and nobody knows: three times in a day; nothing is lost or doubled."""
    url = f"redis://{proxy.target}/0"
    sender, receiver = relay(publisher, url), consumer(reader, url)
    for nth in (2, 5, 9):
        proxy.plan.on(name, fault, nth=nth)
    async with running(sender, receiver):
        await _day(publisher, sender)
        await _settled(reader)
    assert proxy.plan.commands[name] > 1


REFUSALS = [READONLY, LOADING, BUSY, MASTERDOWN, NOPERM, WRONGTYPE]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda text: text.split()[0])
async def test_redis_refuses_for_a_while(publisher, reader, proxy, error):
    """F8, F9: every XADD and XREADGROUP is refused: the outbox holds, health says why; then all comes."""
    url = f"redis://{proxy.target}/0"
    sender, receiver = relay(publisher, url), consumer(reader, url)
    for name in ("XADD", "XREADGROUP"):
        proxy.plan.always(name, refuse(error))
    async with running(sender, receiver):
        await _day(publisher, sender)
        await until(lambda: sender.outage._tries >= 4 and receiver.outage._tries >= 4, BOUND_S)
        assert error in str(sender.outage.error)
        assert error in str(receiver.outage.error)
        assert sender.outage.begun[error.split()[0]] == receiver.outage.begun[error.split()[0]] == 1
        assert await rows(reader, PLATFORM.inbox) == []
        await proxy.heal()
        await _settled(reader)
        # What was sent is applied before the relay has noted that it could send it.
        await until(lambda: sender.outage.error is None and receiver.outage.error is None, BOUND_S)
        await sender.check()
        await receiver.check()


async def test_connections_are_killed_all_the_time(publisher, reader, server):
    """F17: every client but the killer is cut off, thirty times among events: nothing is lost or doubled."""
    sender, receiver = relay(publisher, server.url), consumer(reader, server.url)
    async with Redis.from_url(server.url) as killer, running(sender, receiver):
        client: Any = killer
        for number in range(EACH):
            for key in KEYS:
                await publish(publisher, "note", key=key)
            sender.wake()
            if number < 30:
                await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await _settled(reader)
