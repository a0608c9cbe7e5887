"""No more is read at once than can be held."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from trunkline.events.consuming import aside
from trunkline.events.consuming.appetite import FIRST_BYTES, READ, READ_OF_EACH, Appetite
from trunkline.events.consuming.ledger import Key
from trunkline.events.shard import Entry, Shard
from trunkline.events.streams.link import Link
from trunkline.storage import Database

from tests.trunkline.events.notes import GROUP, PLATFORM, add, consumer, envelope, running, until, until_seen


def test_short_entries_are_read_by_their_number():
    """What is short is bounded by the number of entries alone."""
    appetite = Appetite(read_bytes=100 * READ * 1000)
    for _ in range(100):
        appetite.note([200, 1000])
    assert [appetite.count(streams) for streams in (1, 2, 8, 100)] == [READ, READ // 2, READ // 8, READ_OF_EACH]


def test_long_entries_are_read_one_by_one():
    """One that is longer than all that may be read is still read, and what follows it slowly more and more."""
    appetite = Appetite(read_bytes=1_000_000)
    appetite.note([2_000_000])
    assert appetite.count(1) == appetite.count(8) == 1
    for _ in range(100):
        appetite.note([1000])
    assert appetite.count(8) == READ // 8


@given(lengths=st.lists(st.integers(1, 1_000_000), min_size=1), streams=st.integers(1, 64))
def test_stays_within_the_bound_where_lengths_stay(lengths, streams):
    """Entries no longer than the longest of the last read are at most so many bytes, or one of each stream."""
    appetite = Appetite(read_bytes=4_000_000)
    for length in lengths:
        appetite.note([length])
    count = appetite.count(streams)
    assert count == 1 or count * streams * lengths[-1] <= 4_000_000


class CountingLink(Link):
    """Notes how many bytes came with each read."""

    def __init__(self, url: str) -> None:
        super().__init__(url, name="counting", block_s=0.05)
        self.bytes: list[int] = []

    async def read(
        self, group: str, consumer: str, after: Mapping[Shard, str], *, count: int, block_s: float | None = None
    ) -> list[Entry]:
        """See Link."""
        entries = await super().read(group, consumer, after, count=count, block_s=block_s)
        self.bytes.append(sum(len(entry.data or b"") for entry in entries))
        return entries


async def test_a_backlog_of_long_events_is_read_in_parts(reader: Database, client: Redis, url: str):
    """Five megabytes wait; no more than half a one is held at a time, and all are applied in order."""
    await add(client, *(envelope(number, text="x" * 50_000) for number in range(1, 101)))
    receiver = consumer(reader, url)
    receiver._appetite = Appetite(read_bytes=500_000)
    receiver._reading = counting = CountingLink(url)
    async with running(receiver):
        await until_seen(reader, list(range(1, 101)))
    assert sum(counting.bytes) > 5_000_000
    assert max(counting.bytes) <= 500_000
    assert FIRST_BYTES < 50_000


async def test_parked_events_are_held_in_parts(
    reader: Database, client: Redis, url: str, monkeypatch: pytest.MonkeyPatch
):
    """What waits for its turn is as long as it likes to be: it is applied some at a time, in order."""
    monkeypatch.setattr(aside, "FIRST_BYTES", 120_000)
    read: list[int] = []

    class Counting(aside.Aside):
        def first(self, connection: sa.Connection, key: Key, limit: int) -> list[aside.Parked]:
            found = super().first(connection, key, limit)
            read.append(len(found))
            return found

    await add(client, *(envelope(number, text="x" * 50_000) for number in range(2, 31)))
    receiver = consumer(reader, url)
    receiver._applying.aside = Counting(PLATFORM, GROUP)
    async with running(receiver):
        await until(lambda: receiver.counts.parked == 29)
        await add(client, envelope(1))
        await until_seen(reader, list(range(1, 31)))
    assert max(read) == 3
