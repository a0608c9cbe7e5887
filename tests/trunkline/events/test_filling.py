"""What keys wait for is asked of publishers, until they answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from trunkline.errors import unavailable
from trunkline.events.consuming.gaps import GapFiller
from trunkline.events.consuming.ledger import Key
from trunkline.events.pause import end

from tests.trunkline.events.notes import KEY, until

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
