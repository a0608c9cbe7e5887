"""What keys wait for is asked of publishers, until they answer; what is gone from a stream is not taken for applied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from trunkline.errors import unavailable
from trunkline.events.gaps import GapFiller
from trunkline.events.ledger import Key
from trunkline.events.pause import end
from trunkline.events.topics import shard_of, stream_name
from trunkline.storage import Database

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    PLATFORM,
    add,
    consumer,
    envelope,
    publish,
    relay,
    rows,
    running,
    until,
    until_seen,
)

STREAM = stream_name("notes", shard_of(KEY, 8))
MEMO = ("memos", KEY)
NOTE = ("notes", KEY)


class Log:
    """A publisher that has kept everything, and that does not answer for some topics."""

    def __init__(self, *silent: str, error: Exception | None = None) -> None:
        self.silent = set(silent)
        self.error = error or unavailable("PEER_UNAVAILABLE", "nobody answers")
        self.asked: list[tuple[str, str, range]] = []

    async def events(self, topic: str, key: str, numbers: range) -> Sequence[bytes]:
        """See EventLog."""
        self.asked.append((topic, key, numbers))
        if topic in self.silent:
            raise self.error
        return [f"{number}".encode() for number in numbers]


class Parked:
    """Where events are kept, unless the database is away."""

    def __init__(self) -> None:
        self.events: dict[Key, list[bytes]] = {}
        self.away = False

    async def __call__(self, key: Key, events: Sequence[bytes]) -> None:
        """See Park."""
        if self.away:
            raise unavailable("STORAGE_UNAVAILABLE", "locked")
        self.events.setdefault(key, []).extend(events)


@asynccontextmanager
async def filling(log: Log, parked: Parked) -> AsyncIterator[GapFiller]:
    """A filler for the length of a block."""
    filler = GapFiller(log, parked, ["memos", "notes"])
    task = asyncio.create_task(filler.run())
    try:
        yield filler
        assert not task.done()
    finally:
        await end([task])


async def test_asks_for_so_many_at_once():
    """A wide gap is filled in parts: the key asks again when it has got so far."""
    log, parked = Log(), Parked()
    async with filling(log, parked) as filler:
        filler.ask(NOTE, range(2, 1000))
        await until(lambda: filler.filled == 100)
    assert log.asked == [(*NOTE, range(2, 102))]
    assert parked.events[NOTE][-1] == b"101"


async def test_a_silent_publisher_is_asked_again():
    """Until it answers; other topics do not wait for it, and the last word on a key holds."""
    log, parked = Log("notes"), Parked()
    async with filling(log, parked) as filler:
        filler.ask(NOTE, range(2, 4))
        await until(lambda: len(log.asked) >= 2)
        filler.ask(MEMO, range(1, 2))
        await until(lambda: MEMO in parked.events)
        filler.ask(NOTE, range(3, 4))
        log.silent.clear()
        await until(lambda: NOTE in parked.events)
    assert parked.events[NOTE] in ([b"3"], [b"2", b"3", b"3"])


async def test_its_own_database_may_be_away():
    """What a publisher gave and could not be kept is asked for again."""
    log, parked = Log(), Parked()
    parked.away = True
    async with filling(log, parked) as filler:
        filler.ask(NOTE, range(2, 3))
        await until(lambda: len(log.asked) >= 2)
        parked.away = False
        await until(lambda: parked.events == {NOTE: [b"2"]})
        assert filler.filled == 1


async def test_a_mistake_in_the_log_ends_nothing():
    """An error that nobody expects is told, and the next keys are filled all the same."""
    log, parked = Log("notes", error=KeyError("notes")), Parked()
    async with filling(log, parked) as filler:
        filler.ask(NOTE, range(2, 3))
        await until(lambda: len(log.asked) >= 2)
        log.silent.clear()
        await until(lambda: NOTE in parked.events)


async def _given_to_one_that_died(client: Redis, count: int) -> None:
    await client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    given: Any = await client.xreadgroup(GROUP, GROUP, {STREAM: ">"}, count=count)
    assert len(given[0][1]) == count


async def test_what_was_trimmed_while_pending_is_sent_again(
    publisher: Database, reader: Database, client: Redis, url: str
):
    """E13: entries that are gone are not taken for applied: the publisher, who has kept them, sends them again."""
    async with running(sender := relay(publisher, url)):
        await publish(publisher, *"abcde")
        sender.wake()
        await until(lambda: sender.counts.sent == 5)
    await _given_to_one_that_died(client, 4)
    await client.xtrim(STREAM, maxlen=2, approximate=False)

    receiver = consumer(reader, url)
    async with running(receiver):
        await until(lambda: receiver.counts.gone == 3)
        async with running(relay(publisher, url)):
            await until_seen(reader, [1, 2, 3, 4, 5])
    assert await rows(reader, PLATFORM.hole) == []
    assert (await client.xpending(STREAM, GROUP))["pending"] == 0


async def test_what_was_deleted_while_pending_is_asked_of_the_log(reader: Database, client: Redis, url: str):
    """E13: what is gone from the middle of a stream leaves a gap in the numbers, and that is filled."""

    class Kept(Log):
        async def events(self, topic: str, key: str, numbers: range) -> Sequence[bytes]:
            return [envelope(number) for number in numbers]

    await add(client, *(envelope(number) for number in range(1, 6)))
    await _given_to_one_that_died(client, 4)
    held: Any = await client.xrange(STREAM)
    second, third = [entry_id for entry_id, _ in held][1:3]
    await client.xdel(STREAM, second, third)

    receiver = consumer(reader, url, log=Kept())
    async with running(receiver):
        await until_seen(reader, [1, 2, 3, 4, 5])
    assert receiver.counts.gone == 2
    assert await rows(reader, PLATFORM.hole) == []
