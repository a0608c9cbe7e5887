"""The ledger of all events, read from the databases themselves: what was published has arrived once, everywhere."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from pos.event.v1 import cash_log_pb2, open_close_log_pb2, report_log_pb2, transaction_log_pb2
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events.topics import Topic, topics_in

FILES = [module.DESCRIPTOR for module in (cash_log_pb2, open_close_log_pb2, report_log_pb2, transaction_log_pb2)]
Place = tuple[str, str, int]
"""Topic, key and number of an event."""
Rows = Callable[[str], list[sqlite3.Row]]
"""Reads rows of one database."""


@dataclass(frozen=True, slots=True)
class Published:
    """An event, as its publisher keeps it."""

    place: Place
    """Where it stands in its order."""
    envelope: Envelope
    """What was sent."""
    data: bytes
    """Its bytes."""
    confirmed: bool
    """Whether every group has said that it has it."""

    @property
    def log(self) -> Any:
        """Its payload."""
        return _class_of(self.envelope.type).FromString(self.envelope.payload)


def topics() -> dict[str, Topic]:
    """The topics of the shop."""
    return topics_in(FILES)


@contextmanager
def opened(var_dir: Path, service: str) -> Iterator[sqlite3.Connection]:
    """The database of a service, to be read beside it."""
    address = f"file:{var_dir / service / service}.db?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=5.0, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def select(var_dir: Path, service: str, query: str) -> list[sqlite3.Row]:
    """Rows of a service's database."""
    with opened(var_dir, service) as connection:
        return connection.execute(query).fetchall()


def published(var_dir: Path, *names: str) -> list[Published]:
    """Every event ever published, on some topics or on all, in the order of its key."""
    wanted = [topic for name, topic in topics().items() if not names or name in names]
    return [
        _published(row)
        for publisher in sorted({topic.publisher for topic in wanted})
        for row in select(var_dir, publisher, "SELECT * FROM outbox ORDER BY topic, key, number")
        if row["topic"] in {topic.name for topic in wanted}
    ]


def complaints(var_dir: Path) -> list[str]:
    """What is wrong: lost, doubled, unexpected, out of order, held up or given up."""
    events = published(var_dir)
    found = [*_numbers(var_dir, events), *(f"{one.place} is unconfirmed" for one in events if not one.confirmed)]
    groups = sorted({group for topic in topics().values() for group in topic.groups})
    for group in groups:
        due = [one for one in events if group in topics()[one.place[0]].groups]
        found += _received(var_dir, group, due)
        found += _set_aside(var_dir, group)
    return found


def _numbers(var_dir: Path, events: Sequence[Published]) -> Iterator[str]:
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in events:
        numbers[one.place[:2]].append(one.place[2])
    for order, given in numbers.items():
        if given != list(range(1, len(given) + 1)):
            yield f"the numbers of {order} have holes: {given}"
    for publisher in sorted({topic.publisher for topic in topics().values()}):
        for row in select(var_dir, publisher, "SELECT topic, key, number FROM outbox_number"):
            if len(numbers[row["topic"], row["key"]]) != row["number"]:
                yield f"{row['number']} numbers of {row['topic']} {row['key']} were given out, not all to events"


def _received(var_dir: Path, group: str, due: Sequence[Published]) -> Iterator[str]:
    """The inbox has each event once, in its order, and the position stands behind the last."""
    got = inbox(partial(select, var_dir, group))
    yield from (f"{group} has lost {one.place}" for one in due if one.place not in got)
    yield from misreceived(group, due, got)
    last = {place[:2]: place[2] for place in got}
    rows = select(var_dir, group, "SELECT topic, key, number FROM consumer_position")
    if {(row["topic"], row["key"]): row["number"] for row in rows} != last:
        yield f"{group} stands elsewhere than behind what it has applied"


def inbox(rows: Rows) -> dict[Place, str]:
    """The events a group has applied and their ids, in the order in which it did."""
    query = "SELECT topic, key, number, event_id FROM inbox ORDER BY rowid"
    return {(row["topic"], row["key"], row["number"]): row["event_id"] for row in rows(query)}


def misreceived(group: str, due: Sequence[Published], got: Mapping[Place, str]) -> Iterator[str]:
    """What an inbox must at no time have: what nobody sent, another event than was sent, one before its turn."""
    sent = {one.place: one.envelope.id for one in due}
    yield from (f"{group} has what nobody sent: {place}" for place in got.keys() - sent.keys())
    yield from (f"{group} has another {place}" for place in got.keys() & sent.keys() if got[place] != sent[place])
    last = dict[tuple[str, str], int]()
    for topic, key, number in got:
        if number != last.get((topic, key), 0) + 1:
            yield f"{group} has applied {topic} {key}#{number} after {last.get((topic, key), 0)}"
        last[topic, key] = number


def _set_aside(var_dir: Path, group: str) -> Iterator[str]:
    for table, condition in (("parked_event", ""), ("hole", "WHERE closed_time IS NULL"), ("dead_letter", "")):
        for row in select(var_dir, group, f"SELECT * FROM {table} {condition}"):
            shown = {name: row[name] for name in row.keys() if name != "envelope"}  # noqa: SIM118 - a Row is no dict
            yield f"{group} has a {table}: {shown}"


def _published(row: sqlite3.Row) -> Published:
    envelope = Envelope.FromString(row["envelope"])
    return Published((row["topic"], row["key"], row["number"]), envelope, row["envelope"], bool(row["confirmed"]))


@cache
def _class_of(name: str) -> Any:
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
