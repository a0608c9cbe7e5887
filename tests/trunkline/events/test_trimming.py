"""Streams are kept short: what every group has confirmed goes after a while, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from trunkline.events import Relay
from trunkline.events.shard import Shard, ShardState
from trunkline.events.stream_id import StreamId
from trunkline.events.streams.trimming import trim_before
from trunkline.events.topics import confirmed_name, shard_of, stream_name
from trunkline.storage import Database

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    PLATFORM,
    SOURCE,
    TOPICS,
    consumer,
    leases_of,
    publish,
    rows,
    running,
    until,
)

STREAM = stream_name("notes", shard_of(KEY, 8))
NOW = 10_000_000


def _state(first: int | None, **confirmed: int) -> ShardState:
    positions = {group: StreamId(at, 5) for group, at in confirmed.items()}
    return ShardState(None if first is None else StreamId(first, 0), StreamId(NOW, 0), positions)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (_state(None, a=NOW, b=NOW), None),
        (_state(1000, a=NOW), None),  # b has never confirmed anything
        (_state(1000, a=5000, b=4000), StreamId(4000, 5)),
        (_state(1000, a=NOW, b=NOW), StreamId(NOW - 60_000, 0)),
        (_state(4000, a=5000, b=4000), StreamId(4000, 5)),
        (_state(4001, a=5000, b=4000), None),
    ],
)
def test_only_what_all_have_confirmed_goes_and_not_at_once(state, expected):
    """The group that is behind decides, or the window."""
    assert trim_before(state, {"a", "b"}, now_ms=NOW, window_s=60) == expected


def test_a_topic_without_groups_is_not_trimmed():
    """Nobody confirms it, so nobody says what may go."""
    assert trim_before(_state(1), (), now_ms=NOW, window_s=0) is None


async def test_a_stream_stays_short(publisher: Database, reader: Database, client: Any, url: str):
    """A thousand events pass: most of them leave Redis, all stay in the outbox, confirmed and not sent again."""
    sender = Relay(
        publisher, PLATFORM, url, source=SOURCE, topics=TOPICS, leases=leases_of(publisher), poll_s=0.05, window_s=0
    )
    async with running(sender, consumer(reader, url)):
        await publish(publisher, *(str(number) for number in range(1000)))
        sender.wake()
        await until(lambda: sender.counts.confirmed == 1000 and sender.counts.trimmed >= 800)
        await publish(publisher, "last")
        sender.wake()
        await until(lambda: sender.counts.confirmed == 1001)
    assert await client.xlen(STREAM) <= 201
    assert (sender.counts.sent, sender.counts.lost) == (1001, 0)
    assert len(await rows(publisher, PLATFORM.outbox)) == 1001


async def test_what_a_group_has_not_confirmed_stays(publisher: Database, reader: Database, client: Any, url: str):
    """Its position is lost, or it never had one: nothing goes."""
    sender = Relay(
        publisher, PLATFORM, url, source=SOURCE, topics=TOPICS, leases=leases_of(publisher), poll_s=0.05, window_s=0
    )
    async with running(sender):
        await publish(publisher, *(str(number) for number in range(300)))
        sender.wake()
        await until(lambda: sender.counts.sent == 300)
        looked = sender._looked
        await until(lambda: sender._looked > looked)
    assert (await client.xlen(STREAM), sender.counts.trimmed) == (300, 0)
    assert await client.hget(confirmed_name(*Shard("notes", shard_of(KEY, 8))), GROUP) is None
