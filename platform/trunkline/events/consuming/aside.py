"""Events that were set aside: parked ones, which are tried again, and dead letters. Inside a transaction."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trunkline.events.consuming.inbox import Waiting
from trunkline.events.consuming.inserting import insert_new
from trunkline.events.consuming.ledger import Key
from trunkline.events.event import APPLY_FAILED, Arrival
from trunkline.events.unreadable import UNREADABLE
from trunkline.storage import PlatformTables

FIRST_BYTES = 4 * 1024 * 1024
"""Parked events of a key that are held at once, but for the last of them."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked event."""

    waiting: Waiting
    """What decides when it is tried."""
    data: bytes
    """The envelope's bytes, as they came."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    id: int
    """Its own."""
    topic: str
    """Topic it came on."""
    data: bytes
    """The envelope's bytes, as they came."""
    reason: str
    """Why it is one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt ended."""

    error: str
    """What failed, for developers."""
    attempts: int
    """Attempts so far."""
    now: datetime
    """When it failed."""


class Aside:
    """Parked events and dead letters of one group."""

    def __init__(self, tables: PlatformTables, group: str, version: str = "") -> None:
        self._group = group
        self._version = version
        self._parked = tables.parked_event
        self._dead = tables.dead_letter

    def keys(self, connection: sa.Connection) -> dict[Key, Hashable]:
        """Keys with parked events, each with something that changes when one is parked or taken."""
        columns = self._parked.c
        # As the database keeps it: nobody reads the time, and there may be many.
        latest = sa.type_coerce(sa.func.max(columns.park_time), sa.types.NullType())
        mark = sa.func.min(columns.number), sa.func.count(), latest
        query = sa.select(columns.topic, columns.key, *mark).where(columns.consumer_group == self._group)
        rows = connection.execute(query.group_by(columns.topic, columns.key))
        return {(topic, key): (first, count, last) for topic, key, first, count, last in rows}

    def first(self, connection: sa.Connection, key: Key, limit: int) -> list[Parked]:
        """The parked events of a key with the lowest numbers, in their order; fewer where they are long."""
        columns = self._parked.c
        query = (
            sa.select(columns.number, columns.park_time, columns.attempts, columns.retry_time, columns.envelope)
            .where(*self._of(key))
            .order_by(columns.number)
            .limit(limit)
        )
        found, size = list[Parked](), 0
        with connection.execute(query) as rows:
            for row in rows:
                found.append(Parked(Waiting(*row[:4]), row[4]))
                size += len(row[4])
                if size >= FIRST_BYTES:
                    break
        return found

    def is_parked(self, connection: sa.Connection, arrival: Arrival) -> bool:
        """Whether an event is parked already."""
        return connection.execute(sa.select(self._parked.c.number).where(*self._one(arrival))).first() is not None

    def park(self, connection: sa.Connection, arrival: Arrival, now: datetime, *, attempts: int = 0) -> None:
        """Parks an event, if another process has not meanwhile; attempts: times it may have been tried."""
        assert arrival.envelope is not None
        connection.execute(
            insert_new(connection, self._parked).values(
                consumer_group=self._group,
                topic=arrival.topic,
                key=arrival.envelope.key,
                number=arrival.envelope.number,
                tenant_id=arrival.envelope.tenant_id,
                event_id=arrival.envelope.id,
                envelope=arrival.data,
                park_time=now,
                attempts=attempts,
            )
        )

    def park_all(self, connection: sa.Connection, arrivals: Iterable[Arrival], now: datetime) -> None:
        """Parks events that did not come from a stream: to be tried when it is their turn."""
        for one in arrivals:
            if one.envelope is not None:
                self.park(connection, one, now)

    def postpone(self, connection: sa.Connection, arrival: Arrival, failure: Failure, until: datetime) -> None:
        """Has a parked event that failed wait before it is tried again."""
        table = self._parked
        connection.execute(
            sa.update(table)
            .where(*self._one(arrival))
            .values(
                attempts=failure.attempts,
                error=failure.error,
                first_time=sa.func.coalesce(table.c.first_time, sa.literal(failure.now, table.c.first_time.type)),
                retry_time=until,
            )
        )

    def count(self, connection: sa.Connection, key: Key, numbers: Sequence[int]) -> None:
        """Counts an attempt of parked events, which is about to begin."""
        table = self._parked
        statement = sa.update(table).where(*self._of(key), table.c.number.in_(numbers))
        connection.execute(statement.values(attempts=table.c.attempts + 1))

    def unreadable(self, connection: sa.Connection, *, after: int, limit: int) -> list[Letter]:
        """Open dead letters that a consumer could not read, oldest first, after the id of one."""
        columns = self._dead.c
        rows = connection.execute(
            sa.select(columns.id, columns.topic, columns.envelope, columns.reason)
            .where(
                columns.consumer_group == self._group,
                columns.closed_time.is_(None),
                columns.reason.in_(UNREADABLE),
                columns.key.is_not(None),
                columns.id > after,
            )
            .order_by(columns.id)
            .limit(limit)
        )
        return [Letter(*row) for row in rows]

    def take(self, connection: sa.Connection, arrival: Arrival) -> None:
        """Removes a parked event: something has become of it."""
        connection.execute(sa.delete(self._parked).where(*self._one(arrival)))

    def first_failure(self, connection: sa.Connection, arrival: Arrival) -> datetime | None:
        """When a parked event was first tried; None if it was not."""
        found: datetime | None = connection.scalar(sa.select(self._parked.c.first_time).where(*self._one(arrival)))
        return found

    def bury(self, connection: sa.Connection, arrival: Arrival, failure: Failure, first_time: datetime) -> None:
        """Makes an event a dead letter; one that is one already is opened again, with its attempts added up."""
        table = self._dead
        same = self._letter(arrival)
        found = connection.execute(sa.select(table.c.id, table.c.attempts).where(*same)).first()
        values: dict[str, Any] = {
            "reason": arrival.refusal or APPLY_FAILED,
            "error": failure.error,
            "attempts": failure.attempts + (found.attempts if found is not None else 0),
            "last_time": failure.now,
            "closed_time": None,
            "consumer_version": self._version or None,
        }
        if found is not None:
            connection.execute(sa.update(table).where(table.c.id == found.id).values(values))
            return
        values |= {"consumer_group": self._group, "topic": arrival.topic, "envelope": arrival.data}
        values |= {"first_time": first_time}
        if arrival.entry is not None:
            values |= {"shard": arrival.entry.shard.number, "stream_id": arrival.entry.id.decode()}
        if arrival.envelope is not None:
            envelope = arrival.envelope
            values |= {"key": envelope.key, "number": envelope.number}
            values |= {"tenant_id": envelope.tenant_id, "event_id": envelope.id}
            values |= {"traceparent": envelope.traceparent or None}
        connection.execute(sa.insert(table).values(values))

    def close_letter(self, connection: sa.Connection, arrival: Arrival, now: datetime) -> None:
        """Notes that a dead letter, if it is one, was applied after all."""
        connection.execute(sa.update(self._dead).where(*self._letter(arrival)).values(closed_time=now))

    def _of(self, key: Key) -> tuple[sa.ColumnElement[bool], ...]:
        columns = self._parked.c
        return columns.consumer_group == self._group, columns.topic == key[0], columns.key == key[1]

    def _one(self, arrival: Arrival) -> tuple[sa.ColumnElement[bool], ...]:
        return *self._of(arrival.key), self._parked.c.number == arrival.number

    def _letter(self, arrival: Arrival) -> tuple[sa.ColumnElement[bool], ...]:
        columns = self._dead.c
        which = (columns.consumer_group == self._group, columns.topic == arrival.topic)
        if arrival.envelope is not None:
            return *which, columns.key == arrival.envelope.key, columns.number == arrival.envelope.number
        assert arrival.entry is not None
        at = (columns.shard == arrival.entry.shard.number, columns.stream_id == arrival.entry.id.decode())
        return *which, columns.key.is_(None), *at
