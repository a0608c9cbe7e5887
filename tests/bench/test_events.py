"""What the bench of events sends, and what its yardsticks write."""

from __future__ import annotations

import sqlite3

import pytest
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events.topics import shard_of

from bench.eventing import plain
from bench.eventing.feed import envelopes
from bench.eventing.latency import at
from bench.events import PARTS, arguments


def test_events_are_numbered_by_terminal_and_on_their_shard():
    """Each key counts from 1 without holes, and is on the stream that a consumer looks for it in."""
    events = envelopes(7, 3, 8)
    decoded = [Envelope.FromString(data) for _, data in events]
    assert [one.number for one in decoded] == [1, 1, 1, 2, 2, 2, 3]
    assert [shard.number for shard, _ in events] == [shard_of(one.key, 8) for one in decoded]


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_the_yardstick_writes_all_rows_of_a_consumer(tmp_path, batch):
    """Inbox, effects, and the last number of each key: whatever the size of its transactions."""
    rows = [plain.Row("tranlog", f"k{index % 2}", index // 2 + 1, f"id{index}", 600) for index in range(9)]
    plain.made(tmp_path / "plain.db")
    assert plain.write(tmp_path / "plain.db", rows, batch) > 0
    with sqlite3.connect(tmp_path / "plain.db") as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("inbox", "effect")]
        last = connection.execute("SELECT key, number FROM consumer_position ORDER BY key").fetchall()
    connection.close()
    assert (counts, last) == ([9, 9], [("k0", 5), ("k1", 4)])


def test_shares_of_what_was_taken():
    """The p99 of a hundred values is the last but one."""
    assert (at([float(value) for value in range(1, 101)], 0.99), at([1.0], 0.99)) == (99.0, 1.0)


def test_parts_are_chosen_by_name():
    """One part, or all; another name is refused."""
    assert arguments(["--only", "relay"]).only == "relay"
    parts = {"relay", "consumer", "faststream", "latency", "growth", "backlog"}
    assert (arguments([]).only, set(PARTS)) == (None, parts)
    with pytest.raises(SystemExit):
        arguments(["--only", "nothing"])
