"""What a group has done: positions, inbox and holes in its service's database. Inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from trunkline.events.event import Arrival
from trunkline.storage import PlatformTables
from trunkline.storage.bulk import Bulk, Lookup

Key = tuple[str, str]
"""Topic and key, among whose events order is kept."""


class Ledger:
    """Positions, inbox and holes of one group."""

    def __init__(self, tables: PlatformTables, group: str) -> None:
        self._group = group
        self._holes = tables.hole
        position = tables.consumer_position
        names = ("consumer_group", "topic", "key", "number", "event_id", "apply_time")
        self._add_inbox = Bulk(tables.inbox, names)
        self._move = Bulk(
            position,
            ("consumer_group", "topic", "key", "number", "update_time"),
            replaces=("number", "update_time"),
        )
        self._positions = Lookup(
            sa.select(position.c.key, position.c.number).where(
                position.c.consumer_group == sa.bindparam("_group"), position.c.topic == sa.bindparam("_topic")
            ),
            position.c.key,
        )
        self._hole_open = sa.select(self._holes.c.number).where(*self._hole(), self._holes.c.closed_time.is_(None))
        self._close_hole = sa.update(self._holes).where(*self._hole()).values(closed_time=sa.bindparam("_now"))

    def positions(self, connection: sa.Connection, keys: Collection[Key]) -> dict[Key, int]:
        """Number of each key up to which all is applied or a hole; keys at their beginning are left out."""
        by_topic: dict[str, list[str]] = {}
        for topic, key in keys:
            by_topic.setdefault(topic, []).append(key)
        return {
            (topic, key): number
            for topic, some in by_topic.items()
            for key, number in self._positions.rows(connection, some, _group=self._group, _topic=topic)
        }

    def move(self, connection: sa.Connection, moved: Mapping[Key, int], now: datetime) -> None:
        """Moves keys on, each to its new number."""
        if moved:
            count = len(moved)
            topics, keys = zip(*moved, strict=True)
            self._move.run(connection, ([self._group] * count, topics, keys, list(moved.values()), [now] * count))

    def add_inbox(self, connection: sa.Connection, applied: Sequence[Arrival], now: datetime) -> None:
        """Notes that events were applied."""
        if applied:
            count = len(applied)
            columns = (
                [self._group] * count,
                [arrival.topic for arrival in applied],
                [arrival.key[1] for arrival in applied],
                [arrival.number for arrival in applied],
                [arrival.envelope.id for arrival in applied if arrival.envelope is not None],
                [now] * count,
            )
            self._add_inbox.run(connection, columns)

    def hole_open(self, connection: sa.Connection, key: Key, number: int) -> bool:
        """Whether a number was passed over, and nothing has filled it."""
        return connection.execute(self._hole_open, _at(key, number)).first() is not None

    def open_holes(
        self, connection: sa.Connection, key: Key, numbers: Iterable[int], reason: str, now: datetime
    ) -> None:
        """Notes that numbers are passed over."""
        rows = [
            {
                "consumer_group": self._group,
                "topic": key[0],
                "key": key[1],
                "number": number,
                "reason": reason,
                "open_time": now,
            }
            for number in numbers
        ]
        connection.execute(sa.insert(self._holes), rows)

    def close_hole(self, connection: sa.Connection, key: Key, number: int, now: datetime) -> None:
        """Notes that a number that was passed over has been applied."""
        connection.execute(self._close_hole, {**_at(key, number), "_now": now})

    def _hole(self) -> tuple[sa.ColumnElement[bool], ...]:
        columns = self._holes.c
        return (
            columns.consumer_group == self._group,
            columns.topic == sa.bindparam("_topic"),
            columns.key == sa.bindparam("_key"),
            columns.number == sa.bindparam("_at"),
        )


def _at(key: Key, number: int) -> dict[str, str | int]:
    return {"_topic": key[0], "_key": key[1], "_at": number}
