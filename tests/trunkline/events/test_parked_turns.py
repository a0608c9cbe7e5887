"""Parked events that do not end: others have their turn all the same, and whoever is to stop stops."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from trunkline.events import Consumer, ConsumerTransaction, Event
from trunkline.events.consuming.aside import Aside
from trunkline.events.consuming.consumer import PARKED_S
from trunkline.events.event import Decoder
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    PLATFORM,
    Note,
    add,
    consumer,
    envelope,
    keep,
    rows,
    running,
    seen,
    until,
    until_seen,
)
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH
ENDLESS = ("t/endless/1", "t/endless/2", "t/endless/3")
TRIES = 4
"""Parked events that are tried in one turn, where time passes."""


class Endless:
    """A handler: whatever it applies of some keys, the next event of that key is parked with the effect."""

    def __init__(self, clock: FakeClock, takes_s: float) -> None:
        self._clock = clock
        self._takes_s = takes_s
        self._aside = Aside(PLATFORM, GROUP)
        self._decoder = Decoder({Note: keep})

    def __call__(self, transaction: ConsumerTransaction, event: Event) -> None:
        """Has the effect of an event."""
        keep(transaction, event)
        key = event.envelope.key
        if key in ENDLESS:
            following = self._decoder.decode("notes", envelope(event.envelope.number + 1, key=key))
            self._aside.park(transaction.connection, following, transaction.now)
            self._clock.advance(self._takes_s)


async def begun(reader: Database, url: str, clock: FakeClock, *keys: str, takes_s: float) -> Consumer:
    """A reader for which the first event of each of some keys is parked."""
    one = consumer(reader, url, {Note: Endless(clock, takes_s)}, clock=clock)
    for key in keys:
        await one.park(("notes", key), [envelope(1, key=key)])
    return one


async def last(reader: Database, key: str) -> int:
    """How far a key has come, in order."""
    numbers = [number for number, _ in await seen(reader, key)]
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


async def test_new_events_have_their_turn(reader: Database, client: Redis, url: str, clock: FakeClock):
    """While a key's parked events go on and on, what comes in the streams of other keys is applied."""
    receiver = await begun(reader, url, clock, ENDLESS[0], takes_s=PARKED_S / TRIES)
    async with running(receiver):
        await until(lambda: receiver.counts.applied > 2 * TRIES)
        for number in range(1, 4):
            await add(client, envelope(number))
            await until_seen(reader, list(range(1, number + 1)), KEY)
        assert await last(reader, ENDLESS[0]) > TRIES


async def test_every_key_has_its_turn(reader: Database, client: Redis, url: str, clock: FakeClock):
    """Keys that were not reached in one turn stay due, and are first in the next: none keeps the others waiting."""
    receiver = await begun(reader, url, clock, *ENDLESS, takes_s=PARKED_S / TRIES)
    async with running(receiver):
        for turns in range(1, 4):

            async def all_reached(turns: int = turns) -> bool:
                return min([await last(reader, key) for key in ENDLESS]) >= turns * TRIES

            await until(all_reached)
    due = receiver.next_due()
    assert due is not None
    assert due <= clock.now()


@pytest.mark.parametrize("keys", [1, 3])
async def test_a_stop_ends_them(reader: Database, client: Redis, url: str, clock: FakeClock, keys: int):
    """Though no time passes: the event at hand is applied, the next one stays parked for whoever comes."""
    receiver = await begun(reader, url, clock, *ENDLESS[:keys], takes_s=0.0)
    async with running(receiver):
        await until(lambda: receiver.counts.applied > 2 * TRIES)
    assert receiver.counts.applied == sum([await last(reader, key) for key in ENDLESS])
    parked = {row["key"]: row["number"] for row in await rows(reader, PLATFORM.parked_event)}
    assert parked == {key: await last(reader, key) + 1 for key in ENDLESS[:keys]}
