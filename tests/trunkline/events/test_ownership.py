"""Several consumers of one group on one database: each shard has one owner, and every event one effect, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events import Consumer
from trunkline.events.consuming.inbox import ATTEMPTS
from trunkline.events.consuming.settling import BATCH, ENDED
from trunkline.events.event import Handler
from trunkline.events.topics import stream_name
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage import Database
from trunkline.storage.leases import LeaseLost, Leases
from trunkline.testing.resp_faults import drop_reply
from trunkline.testing.resp_proxy import RespProxy

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    PLATFORM,
    Note,
    add,
    envelope,
    keep,
    rows,
    seen,
    until,
    until_seen,
)
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH

KEYS = [f"t/s/{number}" for number in range(40)]
BEAT_S = 0.05


@asynccontextmanager
async def member(database: Database, url: str, handler=keep, log=None) -> AsyncIterator[tuple[Consumer, Leases]]:
    """A process of the group, as far as it matters here: it beats and consumes, and gives everything back."""
    leases = Leases(database, PLATFORM, beat_s=BEAT_S)
    one = Consumer(database, PLATFORM, url, group=GROUP, handlers={Note: handler}, leases=leases, block_s=0.05, log=log)
    stop = asyncio.Event()
    tasks = [asyncio.create_task(work(stop)) for work in (leases.run, one.run)]
    try:
        yield one, leases
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await leases.end()


async def test_two_share_and_one_takes_over(reader: Database, client: Redis, url: str):
    """Events go on while one joins and leaves: each key in order, each number once."""
    async with member(reader, url) as (first, _):
        await until(lambda: len(first.owned) == 8)
        for number in range(1, 6):
            for key in KEYS:
                await add(client, envelope(number, key=key), key=key)
        async with member(reader, url) as (second, _):
            await until(lambda: len(first.owned) == len(second.owned) == 4)
            for number in range(6, 11):
                for key in KEYS:
                    await add(client, envelope(number, key=key), key=key)
            await until(lambda: second.counts.applied > 0)
        await until(lambda: len(first.owned) == 8)
        for key in KEYS:
            await until_seen(reader, list(range(1, 11)), key=key)
    assert len(await rows(reader, PLATFORM.inbox)) == 400
    assert await rows(reader, PLATFORM.hole) == []


async def test_who_lost_its_lease_has_no_effect(reader: Database, client: Redis, url: str):
    """A worker that slept through its death changes nothing when it wakes, and the next one applies what it had."""
    leases = Leases(reader, PLATFORM)
    sleeper = Consumer(reader, PLATFORM, url, group=GROUP, handlers={Note: keep}, leases=leases)
    stop = asyncio.Event()
    stop.set()
    await sleeper._control.connect()
    await sleeper._reading.connect()
    await sleeper._own(stop)
    await add(client, envelope(1), envelope(2))
    held = await sleeper._read_new()
    assert len(held) == 2

    await reader.write(lambda connection: leases._bury(connection, id_=leases.worker_id, beat=_beat(connection)))
    with pytest.raises(LeaseLost):
        await sleeper._handle(held, stop)
    assert await seen(reader) == []
    await sleeper._end()

    async with member(reader, url):
        await until_seen(reader, [1, 2])


async def test_a_gap_is_filled_from_the_publishers_log(reader: Database, client: Redis, url: str):
    """What Redis never had is asked of the publisher, and applied at its turn: no hole, and no half minute."""

    class Log:
        """A publisher that has kept everything."""

        async def events(self, topic: str, key: str, numbers: range) -> Sequence[bytes]:
            assert (topic, key) == ("notes", KEY)
            return [envelope(number) for number in numbers]

    await add(client, envelope(1), envelope(4))
    async with member(reader, url, log=Log()):
        await until_seen(reader, [1, 2, 3, 4])
    assert await rows(reader, PLATFORM.hole) == []
    assert await rows(reader, PLATFORM.parked_event) == []


class Killed(BaseException):
    """As if the process had ended: nothing that follows happens."""


async def test_an_event_that_ends_the_process_becomes_a_dead_letter(reader: Database, client: Redis, url: str):
    """Attempts are counted before they begin: after five of them that nobody lived to tell of, the key goes on."""
    tried: list[int] = []
    deadly = _deadly(tried)
    await add(client, envelope(1), envelope(2), envelope(3))
    deaths = 0
    while not await rows(reader, PLATFORM.dead_letter):
        deaths += await _life(reader, url, deadly)
    await _life(reader, url, deadly)

    assert [number for number, _ in await seen(reader)] == [1, 3]
    (letter,) = await rows(reader, PLATFORM.dead_letter)
    assert (letter["number"], letter["attempts"], letter["reason"]) == (2, 5, "APPLY_FAILED")
    assert (tried.count(2), deaths) == (5, 5)
    assert letter["error"] == ENDED


@pytest.mark.parametrize("command", ["XGROUP CREATE", "XINFO CONSUMERS", "XREADGROUP"])
async def test_suspicion_outlives_an_outage(reader: Database, client: Redis, redis_server: EmbeddedRedis, command: str):
    """Redis is lost between taking the shards of one who died and settling what it had: that counts all the same.

    Otherwise each life would apply the event with others, uncounted, and die of it for ever.
    """
    tried: list[int] = []
    deaths = 0
    await add(client, envelope(1), envelope(2), envelope(3))
    async with RespProxy("127.0.0.1", redis_server.port) as proxy:
        while not await rows(reader, PLATFORM.dead_letter) and deaths <= ATTEMPTS:
            proxy.plan.on(command, drop_reply())
            deaths += await _life(reader, f"redis://{proxy.target}/0", _deadly(tried))

    assert (tried.count(2), deaths) == (ATTEMPTS, ATTEMPTS)
    assert [number for number, _ in await seen(reader)] == [1, 3]
    # One outage in each life, that of who buried the event included.
    assert proxy.plan.met.total() == deaths + 1


def _deadly(tried: list[int]) -> Handler:
    def handler(tx, event) -> None:
        tried.append(event.envelope.number)
        if event.envelope.number == 2:
            raise Killed
        keep(tx, event)

    return handler


async def _life(database: Database, url: str, handler) -> bool:
    """One process, until it dies or has nothing more to do; says whether it died."""
    leases = Leases(database, PLATFORM)
    one = Consumer(database, PLATFORM, url, group=GROUP, handlers={Note: handler}, leases=leases, block_s=0.05)
    stop = asyncio.Event()
    running = asyncio.create_task(one.run(stop))

    async def over() -> bool:
        settled = [row["number"] for row in await rows(database, PLATFORM.consumer_position)]
        return running.done() or settled == [3]

    await until(over)
    stop.set()
    (ended,) = await asyncio.gather(running, return_exceptions=True)
    await leases.end()
    return isinstance(ended, Killed)


def _beat(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(PLATFORM.worker.c.beat)) or 0


async def test_a_read_is_finished_before_a_hand_over(reader: Database, client: Redis, url: str):
    """Told to stop with several batches in hand, it settles them: nothing is left for the next owner to suspect."""
    keys = [f"t/s/{number}" for number in range(64)]
    for key in keys:
        await add(client, *(envelope(number, key=key) for number in range(1, 9)), key=key)
    stop = asyncio.Event()

    def stopping(tx, event) -> None:
        keep(tx, event)
        loop.call_soon_threadsafe(stop.set)

    loop = asyncio.get_running_loop()
    leases = Leases(reader, PLATFORM)
    one = Consumer(reader, PLATFORM, url, group=GROUP, handlers={Note: stopping}, leases=leases, block_s=0.05)
    await one.run(stop)
    await leases.end()
    assert one.counts.applied > BATCH
    pending = [(await client.xpending(stream_name("notes", shard), GROUP))["pending"] for shard in range(8)]
    assert pending == [0] * 8


async def test_two_processes_may_park_the_same_event(reader: Database, client: Redis, url: str):
    """The publisher's log is asked by one, an operator has it replayed by another: it is parked and applied once."""
    async with member(reader, url) as (first, _), member(reader, url) as (second, _):
        await asyncio.gather(*(one.park(("notes", KEY), [envelope(1), envelope(2)]) for one in (first, second)))
        await until_seen(reader, [1, 2])
    aside = second._applying.aside
    arrival = second._decoder.decode("notes", envelope(3))
    now = SYSTEM_CLOCK.now()
    for _ in range(2):
        await reader.write(lambda connection: aside.park(connection, arrival, now))
    assert len(await rows(reader, PLATFORM.parked_event)) == 1
