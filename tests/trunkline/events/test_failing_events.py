"""Events whose handler fails: they are tried again, hold up their own key only, and end as dead letters."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis
from trunkline.errors import failed_precondition
from trunkline.events import ConsumerTransaction, Event
from trunkline.events.consuming.inbox import ATTEMPTS
from trunkline.events.topics import shard_of
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import (
    KEY,
    OTHER_KEY,
    PLATFORM,
    SEEN,
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
from tests.trunkline.storage.kinds import AHEAD, BOTH

KINDS = (*BOTH, AHEAD)

Logs = list[MutableMapping[str, Any]]
SECRET = "4111111111111111"
TAKEN = 1000
"""Id of an effect that is there already."""


class Sick:
    """A handler that fails for some texts, after it had half of its effect."""

    def __init__(self, *texts: str) -> None:
        self.texts = set(texts)
        self.tries = 0

    def __call__(self, transaction: ConsumerTransaction, event: Event) -> None:
        """Has the effect of an event, or half of it."""
        keep(transaction, event)
        if event.message.text in self.texts:
            self.tries += 1
            raise ValueError(f"cannot apply {event.message.text} {SECRET}")


def _tried(sick: Sick, times: int) -> bool:
    return sick.tries == times


async def _advance_until(clock: FakeClock, condition: Callable[[], bool]) -> None:
    def step() -> bool:
        clock.advance(1)
        return condition()

    await until(step)


async def test_a_failing_event_holds_up_its_own_key_only(reader: Database, client: Redis, url: str, clock: FakeClock):
    """E9: In a batch of many keys, all but what comes after it in its key is applied, and nothing of it is kept."""
    keys = [f"t/s/{terminal}" for terminal in range(16)]
    for key in keys:
        await add(client, *(envelope(number, key=key) for number in range(1, 9)), key=key)
    sick = Sick("bad")
    await add(client, envelope(1, text="bad"), envelope(2), key="t/s/99")
    await add(client, envelope(1, key="t/x/1", text="bad"), envelope(2, key="t/x/1"), key="t/x/1")
    receiver = consumer(reader, url, {Note: sick}, clock=clock)

    async with running(receiver):
        await until(lambda: receiver.counts.applied >= 128)
        for key in keys[2:]:
            assert [number for number, _ in await seen(reader, key)] == list(range(1, 9))
        assert "bad" not in {text for _, text in await seen(reader)}


async def test_a_failed_event_is_tried_again_before_what_follows(
    reader: Database, client: Redis, url: str, clock: FakeClock
):
    """Once its handler works, the key goes on in order, as if nothing had been."""
    sick = Sick("bad")
    receiver = consumer(reader, url, {Note: sick}, clock=clock)
    await add(client, envelope(1), envelope(2, text="bad"), envelope(3), envelope(2, text="bad"))

    async with running(receiver):
        await until(lambda: receiver.counts.parked >= 2)
        await add(client, envelope(2, text="bad"), envelope(4))
        await _advance_until(clock, lambda: sick.tries >= 4)
        sick.texts.clear()
        await _advance_until(clock, lambda: receiver.counts.applied == 4)
        await until_seen(reader, [1, 2, 3, 4])

    assert await rows(reader, PLATFORM.dead_letter) == []
    assert await rows(reader, PLATFORM.parked_event) == []


async def test_ends_as_a_dead_letter(reader: Database, client: Redis, url: str, clock: FakeClock, event_logs: Logs):
    """E9: After five attempts it is set aside with its bytes, times and the place of the failure; its key goes on."""
    poison = envelope(2, text="bad")
    receiver = consumer(reader, url, {Note: Sick("bad")}, clock=clock)
    await add(client, envelope(1), poison, envelope(3))
    began = clock.now()

    async with running(receiver):
        await _advance_until(clock, lambda: receiver.counts.dead == 1)
        await until_seen(reader, [1, 3])

    (letter,) = await rows(reader, PLATFORM.dead_letter)
    (hole,) = await rows(reader, PLATFORM.hole)
    assert (letter["reason"], letter["attempts"], letter["envelope"]) == ("APPLY_FAILED", ATTEMPTS, poison)
    assert (letter["tenant_id"], letter["key"], letter["number"]) == ("t", KEY, 2)
    assert began <= letter["first_time"] < letter["last_time"]
    assert (hole["number"], hole["reason"]) == (2, "DEAD_LETTER")
    assert "ValueError in tests.trunkline.events.test_failing_events.__call__" in letter["error"]
    assert SECRET not in str(event_logs) + letter["error"]


async def test_attempts_are_counted_over_restarts(reader: Database, client: Redis, url: str, clock: FakeClock):
    """Neither attempts nor the time to wait begin anew with the process."""
    sick = Sick("bad")
    await add(client, envelope(1, text="bad"))

    for attempt in range(1, ATTEMPTS + 1):
        async with running(consumer(reader, url, {Note: sick}, clock=clock)):
            await until(partial(_tried, sick, attempt))
        assert sum(row["attempts"] for row in await rows(reader, PLATFORM.parked_event)) == attempt % ATTEMPTS
        clock.advance(60)

    assert [row["attempts"] for row in await rows(reader, PLATFORM.dead_letter)] == [ATTEMPTS]


async def test_a_late_event_that_fails_leaves_its_hole_open(
    reader: Database, client: Redis, url: str, clock: FakeClock
):
    """A hole is closed by an effect only; what could not be applied is a dead letter, and its key is not held up."""
    receiver = consumer(reader, url, {Note: Sick("bad")}, clock=clock)
    await add(client, envelope(2))

    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)
        clock.advance(31)
        await until_seen(reader, [2])
        await add(client, envelope(1, text="bad"), envelope(3))
        await until_seen(reader, [2, 3])
        await _advance_until(clock, lambda: receiver.counts.dead == 1)

    assert [row["closed_time"] for row in await rows(reader, PLATFORM.hole)] == [None]
    assert await rows(reader, PLATFORM.parked_event) == []


async def test_a_dead_letter_sent_again_counts_on(reader: Database, client: Redis, url: str, clock: FakeClock):
    """Sent again and failing again it stays one letter; sent again and applied it is closed."""
    sick = Sick("bad")
    receiver = consumer(reader, url, {Note: sick}, clock=clock)
    await add(client, envelope(1, text="bad"))

    async with running(receiver):
        await _advance_until(clock, lambda: receiver.counts.dead == 1)
        await add(client, envelope(1, text="bad"))
        await _advance_until(clock, lambda: receiver.counts.dead == 2)
        (letter,) = await rows(reader, PLATFORM.dead_letter)
        assert letter["attempts"] == 2 * ATTEMPTS
        sick.texts.clear()
        await add(client, envelope(1, text="bad"))
        await until_seen(reader, [1])

    (letter,) = await rows(reader, PLATFORM.dead_letter)
    assert letter["closed_time"] is not None


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (failed_precondition("STOCK_FROZEN", f"stock of {SECRET} is frozen"), "ServiceError FAILED_PRECONDITION"),
        (sa.exc.IntegrityError("insert", {"pan": SECRET}, ValueError(SECRET)), "IntegrityError (ValueError)"),
    ],
)
async def test_tells_kind_and_place_of_a_failure(
    reader: Database, client: Redis, url: str, clock: FakeClock, failure: Exception, told: str
):
    """Kind, reason and place of a failure are kept; its text, which may hold data, is not."""

    def fail(transaction: ConsumerTransaction, event: Event) -> None:
        raise failure

    await add(client, envelope(1))
    async with running(receiver := consumer(reader, url, {Note: fail}, clock=clock)):
        await until(lambda: receiver.counts.parked == 1)

    (parked,) = await rows(reader, PLATFORM.parked_event)
    assert parked["error"].startswith(told)
    assert SECRET not in parked["error"]


async def test_all_of_a_batch_may_fail(reader: Database, client: Redis, url: str, clock: FakeClock):
    """A handler that fails for everything parks every key, and applies all once it is mended."""
    keys = [f"t/s/{terminal}" for terminal in range(40)]
    for key in keys:
        await add(client, envelope(1, key=key, text="bad"), envelope(2, key=key), key=key)
    sick = Sick("bad")
    receiver = consumer(reader, url, {Note: sick}, clock=clock)

    async with running(receiver):
        await until(lambda: receiver.counts.parked >= 80)
        sick.texts.clear()
        await _advance_until(clock, lambda: receiver.counts.applied == 80)

    for key in keys:
        assert [number for number, _ in await seen(reader, key)] == [1, 2]
    assert {row["key"] for row in await rows(reader, SEEN)} == {*keys}
    assert OTHER_KEY in keys


def _adds(transaction: ConsumerTransaction, event: Event) -> None:
    """Adds its row later; `stubborn` goes on, whatever there was."""
    text, number = event.message.text, event.envelope.number
    if text == "stubborn":
        with suppress(sa.exc.IntegrityError):
            transaction.connection.execute(sa.select(SEEN.c.id))
    place = {"id": TAKEN if text == "late" else len(text)}
    transaction.add(SEEN, place | {"key": event.envelope.key, "number": number, "text": text})


async def test_nobody_commits_without_the_rows_of_others(reader: Database, client: Redis, url: str, clock: FakeClock):
    """A handler that goes on after a failure, which was another event's of its batch, loses nothing of it."""
    shard = shard_of(KEY, 8)
    good, late, stubborn = [key for number in range(100) if shard_of(key := f"t/s/{number}", 8) == shard][:3]
    taken = {"id": TAKEN, "key": "taken", "number": 1, "text": ""}
    await reader.write(lambda connection: connection.execute(sa.insert(SEEN), taken))
    for key, text in ((good, "good"), (late, "late"), (stubborn, "stubborn")):
        await add(client, envelope(1, key=key, text=text), key=key)
    receiver = consumer(reader, url, {Note: _adds}, clock=clock)

    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)
        await until_seen(reader, [1], good)
        await until_seen(reader, [1], stubborn)
        assert await seen(reader, late) == []
        await reader.write(lambda connection: connection.execute(sa.delete(SEEN).where(SEEN.c.id == TAKEN)))
        await _advance_until(clock, lambda: receiver.counts.applied == 3)

    assert sorted([row["key"], row["text"]] for row in await rows(reader, SEEN)) == sorted(
        [[good, "good"], [late, "late"], [stubborn, "stubborn"]]
    )
    assert {row["key"] for row in await rows(reader, PLATFORM.inbox)} == {good, late, stubborn}
    assert await rows(reader, PLATFORM.dead_letter) == await rows(reader, PLATFORM.parked_event) == []
