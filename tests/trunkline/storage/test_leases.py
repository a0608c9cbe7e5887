"""Leases on a database that several workers share."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from trunkline.storage import Database
from trunkline.storage.leases import TTL_S, LeaseLost, Leases
from trunkline.testing.clock import FakeClock

from tests.trunkline.storage.bench import PLATFORM
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH


@pytest.fixture
async def first(database: Database, clock: FakeClock) -> Leases:
    """A worker that has beaten once."""
    worker = Leases(database, PLATFORM, clock=clock)
    await worker.beat()
    return worker


@pytest.fixture
async def second(database: Database, clock: FakeClock, first: Leases) -> Leases:
    """Another, that has seen the first."""
    worker = Leases(database, PLATFORM, clock=clock)
    await worker.beat()
    return worker


async def _require(database: Database, worker: Leases, *names: str) -> None:
    await database.write(lambda connection: worker.require(connection, names))


async def test_one_worker_has_a_lease(first, second):
    """What one has taken another does not get, and the same one keeps."""
    assert await first.take("relay")
    assert not await second.take("relay")
    assert await first.take("relay")
    assert first.has("relay")
    assert not second.has("relay")


async def test_what_is_given_back_is_free(first, second):
    """The next one gets it, and the one before has it no more."""
    await first.take("relay")
    await first.give_back(["relay"])
    assert not first.has("relay")
    assert await second.take("relay")
    assert not await first.take("relay")


async def test_who_ends_gives_all_back(first, second):
    """After end() others need not wait, and see one worker less."""
    await first.take("a")
    await first.take("b")
    await first.end()
    assert await second.take("a")
    await second.beat()
    assert list(second.holders.workers) == [second.worker_id]
    assert second.holders.leases == {"a": second.worker_id, "b": None}


async def test_a_silent_worker_is_dead(first, second, clock):
    """Who is not heard of for TTL_S loses everything; not before."""
    await first.take("relay")
    await second.beat()
    clock.advance(TTL_S - 0.1)
    await second.beat()
    assert not await second.take("relay")
    clock.advance(0.1)
    await second.beat()
    assert await second.take("relay")


async def test_a_beat_is_a_sign_of_life(first, second, clock):
    """Who beats in time keeps what it has, however long that is."""
    await first.take("relay")
    for _ in range(5):
        clock.advance(TTL_S - 0.1)
        await first.beat()
        await second.beat()
    assert not await second.take("relay")


async def test_work_is_a_sign_of_life(database, first, second, clock):
    """A transaction under a lease counts as a beat."""
    await first.take("relay")
    await second.beat()
    clock.advance(TTL_S)
    await _require(database, first, "relay")
    await second.beat()
    assert not await second.take("relay")


async def test_a_zombie_changes_nothing(database, first, second, clock):
    """Who slept through its death is told so in its next transaction, and begins anew under another id."""
    await first.take("relay")
    await second.beat()
    clock.advance(TTL_S)
    await second.beat()
    await second.take("relay")
    before = first.worker_id
    assert first.has("relay")  # so it thinks
    with pytest.raises(LeaseLost):
        await _require(database, first, "relay")
    assert not await first.take("other")
    await first.beat()
    assert first.worker_id != before
    assert not first.has("relay")
    assert await first.take("other")


async def test_all_names_are_required(database, first, second):
    """One lease of another worker undoes the transaction."""
    await first.take("a")
    await second.take("b")
    await _require(database, first, "a")
    with pytest.raises(LeaseLost):
        await _require(database, first, "a", "b")


async def test_a_process_is_one_worker(database, clock):
    """Whoever of it begins first, and all at once: no second row stands there that never beats."""
    worker = Leases(database, PLATFORM, clock=clock)
    await asyncio.gather(worker.beat(), worker.take("relay"), worker.take("consumer"), worker.beat())
    assert list(worker.holders.workers) == [worker.worker_id]
    await database.write(lambda connection: connection.execute(sa.delete(PLATFORM.worker)))
    await asyncio.gather(worker.beat(), worker.beat())
    await worker.beat()
    assert list(worker.holders.workers) == [worker.worker_id]


async def test_who_could_not_beat_itself_buries_nobody(database, first, second, clock):
    """E14: while work of this process keeps the only writer, others cannot beat: that time does not count."""
    await first.beat()
    await second.beat()
    long_work = asyncio.ensure_future(database.write(lambda _: clock.advance(3 * TTL_S)))
    await asyncio.sleep(0)  # it is in the queue now, before the beat
    await second.beat()
    await long_work
    assert set(second.holders.workers) == {first.worker_id, second.worker_id}
    clock.advance(TTL_S)
    await second.beat()
    assert set(second.holders.workers) == {second.worker_id}


async def test_a_clock_that_is_set_kills_nobody(first, second, clock):
    """Only monotonic time counts: hours by the wall are nothing."""
    await first.take("relay")
    await second.beat()
    clock.set_ahead(7200)
    await second.beat()
    assert not await second.take("relay")


async def test_watchers_hear_of_changes_only(first, second):
    """A beat that sees what the last one saw tells nobody."""
    heard: list[None] = []
    await first.beat()
    first.watch(lambda: heard.append(None))
    await first.beat()
    assert heard == []
    await second.end()
    await first.beat()
    assert heard == [None]
