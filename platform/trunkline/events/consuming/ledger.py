"""What a group has done: positions, inbox and holes in its service's database. Inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from trunkline.events.event import Arrival
from trunkline.storage import PlatformTables
from trunkline.storage.bulk import Bulk

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
        self._add_position = sa.insert(position)
        self._positions = sa.select(position.c.topic, position.c.key, position.c.number).where(
            position.c.consumer_group == group,
            position.c.topic.in_(sa.bindparam("_topics", expanding=True)),
            position.c.key.in_(sa.bindparam("_keys", expanding=True)),
        )
        self._move_position = (
            sa.update(position)
            .where(
                position.c.consumer_group == group,
                position.c.topic == sa.bindparam("_topic"),
                position.c.key == sa.bindparam("_key"),
            )
            .values(number=sa.bindparam("_number"), update_time=sa.bindparam("_now"))
        )
        self._hole_open = sa.select(self._holes.c.number).where(*self._hole(), self._holes.c.closed_time.is_(None))
        self._close_hole = sa.update(self._holes).where(*self._hole()).values(closed_time=sa.bindparam("_now"))

    def positions(self, connection: sa.Connection, keys: Collection[Key]) -> dict[Key, int]:
        """Number of each key up to which all is applied or a hole; keys at their beginning are left out."""
        parameters = {"_topics": sorted({topic for topic, _ in keys}), "_keys": sorted({key for _, key in keys})}
        return {(row.topic, row.key): row.number for row in connection.execute(self._positions, parameters)}

    def move(
        self, connection: sa.Connection, moved: Mapping[Key, int], *, known: Collection[Key], now: datetime
    ) -> None:
        """Moves keys on.

        Args:
            connection: Of the transaction.
            moved: Key → its new number.
            known: Keys that had one before.
            now: The instant it is.
        """
        old = [{"_topic": key[0], "_key": key[1], "_number": moved[key], "_now": now} for key in moved if key in known]
        new = [
            {"consumer_group": self._group, "topic": key[0], "key": key[1], "number": number, "update_time": now}
            for key, number in moved.items()
            if key not in known
        ]
        if old:
            connection.execute(self._move_position, old)
        if new:
            connection.execute(self._add_position, new)

    def add_inbox(self, connection: sa.Connection, applied: Iterable[Arrival], now: datetime) -> None:
        """Notes that events were applied."""
        group = self._group
        rows = [
            {
                "consumer_group": group,
                "topic": arrival.topic,
                "key": arrival.key[1],
                "number": arrival.number,
                "event_id": arrival.envelope.id,
                "apply_time": now,
            }
            for arrival in applied
            if arrival.envelope is not None
        ]
        if rows:
            self._add_inbox.insert(connection, rows)

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
