"""What a group has done and set aside, as it is asked for by others: figures, delivery states, letters, parked events.

Inside a transaction. Nothing here applies an event: what is to be tried again is parked, and found there by the
process that owns its shard.
"""

from __future__ import annotations

import enum
from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trunkline.events.consuming.inserting import insert_new
from trunkline.events.consuming.ledger import Key
from trunkline.events.unreadable import UNREADABLE
from trunkline.storage import PlatformTables
from trunkline.storage.types import unindexed

Place = tuple[str, str, int]
"""Topic, key and number of an event."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """How far a group has come in a topic."""

    settled: int = 0
    """Sum of the numbers up to which each key is applied or a hole."""
    keys: int = 0
    """Keys that have come."""
    parked: int = 0
    """Events that are parked."""
    open_holes: int = 0
    """Numbers that were passed over and have not come since."""
    open_letters: int = 0
    """Dead letters that have not been applied since."""
    oldest_parked_time: datetime | None = None
    """When the event was parked that has been for the longest."""
    last_apply_time: datetime | None = None
    """When an event last had its effect."""


class State(enum.Enum):
    """What became of an event."""

    WAITING = "waiting"
    """It has not come."""
    DELIVERED = "delivered"
    """It has had its effect."""
    PARKED = "parked"
    """It came and waits: for its turn, for another attempt, or for a release that can read it."""
    DEAD = "dead"
    """It could not be applied, or was passed over."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of an event, and why."""

    state: State
    """What became of it."""
    attempts: int = 0
    """Times it was tried, while it is PARKED or DEAD."""
    reason: str = ""
    """Why it is DEAD or cannot be read; empty otherwise, and where it just did not come."""
    error: str = ""
    """The last failure; empty where there was none."""
    retry_time: datetime | None = None
    """When it is tried again, where that is known."""
    letter_id: int = 0
    """Its open dead letter; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class LetterQuery:
    """Which dead letters are meant. What is empty does not matter."""

    topic: str = ""
    """Of this topic."""
    key: str = ""
    """Of this key."""
    reason: str = ""
    """For this reason."""
    tenant_id: str = ""
    """Of this tenant."""
    from_time: datetime | None = None
    """That last failed then or later."""
    to_time: datetime | None = None
    """That last failed before."""
    ids: tuple[int, ...] = ()
    """These."""
    with_closed: bool = False
    """Those that were applied since, too."""


class ConsumerRows:
    """Queries of one group in its service's database."""

    def __init__(self, tables: PlatformTables, group: str) -> None:
        self._group = group
        self._positions, self._inbox = tables.consumer_position, tables.inbox
        self._holes, self._parked, self._dead = tables.hole, tables.parked_event, tables.dead_letter

    def figures(self, connection: sa.Connection, topics: Iterable[str]) -> Mapping[str, GroupFigures]:
        """How far the group has come in some topics."""
        positions, parked, count = self._positions.c, self._parked.c, sa.func.count()
        told = [
            self._by_topic(
                connection,
                self._positions,
                settled=sa.cast(sa.func.sum(positions.number), sa.BigInteger),
                keys=count,
                last_apply_time=self._last_apply(),
            ),
            self._by_topic(connection, self._parked, parked=count, oldest_parked_time=sa.func.min(parked.park_time)),
            self._by_topic(connection, self._holes, self._holes.c.closed_time.is_(None), open_holes=count),
            self._by_topic(connection, self._dead, self._dead.c.closed_time.is_(None), open_letters=count),
        ]
        return {topic: GroupFigures(**ChainMap(*(one.get(topic, {}) for one in told))) for topic in topics}

    def delivery(self, connection: sa.Connection, place: Place) -> Delivery:
        """What became of one event."""
        letter, parked = self._open_letter(connection, place), self._parked_at(connection, place)
        letter_id = letter.id if letter is not None else 0
        if parked is not None:
            error = parked.error or (letter.error if letter is not None else "")
            return Delivery(State.PARKED, parked.attempts, "", error, parked.retry_time, letter_id)
        if letter is not None:
            # It is read when a release comes that can, and its key went on.
            state = State.PARKED if letter.reason in UNREADABLE else State.DEAD
            return Delivery(state, letter.attempts, letter.reason, letter.error, None, letter_id)
        if self._hole_open(connection, place):
            return Delivery(State.DEAD)
        last = connection.scalar(sa.select(self._positions.c.number).where(*self._of(self._positions, place[:2])))
        return Delivery(State.DELIVERED if place[2] <= (last or 0) else State.WAITING)

    def delivered(self, connection: sa.Connection, key: Key, numbers: Collection[int]) -> set[int]:
        """Those of some numbers of a key that have had their effect."""
        number = self._inbox.c.number
        found = connection.scalars(sa.select(number).where(*self._of(self._inbox, key), number.in_(numbers)))
        return set(found)

    def letters(
        self, connection: sa.Connection, query: LetterQuery, *, before: int = 0, limit: int
    ) -> Sequence[sa.Row[Any]]:
        """Dead letters, youngest first; before: only those with lower ids, 0: from the youngest on."""
        columns = self._dead.c
        found = sa.select(self._dead).where(*self._filter(query), *([columns.id < before] if before else []))
        return connection.execute(found.order_by(columns.id.desc()).limit(limit)).all()

    def letter(self, connection: sa.Connection, id_: int) -> sa.Row[Any] | None:
        """One dead letter."""
        columns = self._dead.c
        found: Any = sa.select(self._dead).where(columns.consumer_group == self._group, columns.id == id_)
        row: sa.Row[Any] | None = connection.execute(found).first()
        return row

    def redrivable(
        self, connection: sa.Connection, query: LetterQuery, *, limit: int
    ) -> tuple[Sequence[sa.Row[Any]], int]:
        """Open dead letters that can be tried again and are not being, oldest first; and how many more there are.

        Bytes that are no envelope have no key to be parked under, and no turn to wait for.
        """
        dead, parked = self._dead.c, self._parked.c
        waiting = sa.exists().where(
            parked.consumer_group == dead.consumer_group,
            parked.topic == dead.topic,
            parked.key == dead.key,
            parked.number == dead.number,
        )
        which = (*self._filter(query), dead.closed_time.is_(None), dead.key.is_not(None), ~waiting)
        rows = connection.execute(sa.select(self._dead).where(*which).order_by(dead.id).limit(limit)).all()
        count = connection.scalar(sa.select(sa.func.count()).select_from(self._dead).where(*which)) or 0
        return rows, count - len(rows)

    def redrive(self, connection: sa.Connection, letters: Sequence[sa.Row[Any]], now: datetime) -> None:
        """Parks what redrivable gave in the same transaction. The letters stay until their events are applied.

        Call Consumer.wake after the commit.
        """
        rows = [
            {
                "consumer_group": self._group,
                "topic": one.topic,
                "key": one.key,
                "number": one.number,
                "tenant_id": one.tenant_id,
                "event_id": one.event_id,
                "envelope": one.envelope,
                "park_time": now,
                "attempts": 0,
            }
            for one in letters
        ]
        if rows:
            connection.execute(insert_new(connection, self._parked), rows)

    def parked(
        self,
        connection: sa.Connection,
        topic: str,
        key: str,
        *,
        tenant_id: str = "",
        after: Place | None = None,
        limit: int,
    ) -> Sequence[sa.Row[Any]]:
        """Parked events by topic, key and number, each with `settled`, how far its key is; empty: of all."""
        columns, positions = self._parked.c, self._positions
        of_key = [positions.c[name] == columns[name] for name in ("consumer_group", "topic", "key")]
        found = sa.select(self._parked, sa.func.coalesce(positions.c.number, 0).label("settled"))
        found = found.select_from(self._parked.outerjoin(positions, sa.and_(*of_key)))
        found = found.where(columns.consumer_group == self._group)
        if topic:
            found = found.where(columns.topic == topic)
        if key:
            found = found.where(columns.key == key)
        if tenant_id:
            found = found.where(columns.tenant_id == tenant_id)
        # What is given already is no part of the order: with it a page would be sorted, not read off an index.
        given = 0 if not topic else 1 if not key else 2
        place = (columns.topic, columns.key, columns.number)[given:]
        if after is not None:
            found = found.where(sa.tuple_(*place) > sa.tuple_(*map(sa.literal, after[given:])))
        return connection.execute(found.order_by(*place).limit(limit)).all()

    def _by_topic(
        self, connection: sa.Connection, table: sa.Table, *which: sa.ColumnElement[bool], **columns: Any
    ) -> dict[str, dict[str, Any]]:
        topic = unindexed(table.c.topic).label("topic") if which else table.c.topic
        query = sa.select(topic, *(column.label(name) for name, column in columns.items()))
        found = query.where(table.c.consumer_group == self._group, *which).group_by(topic)
        return {row.topic: {name: getattr(row, name) for name in columns} for row in connection.execute(found)}

    def _last_apply(self) -> sa.ColumnElement[Any]:
        """Of each key the time of the youngest inbox row: found by the primary key, one row a key."""
        inbox, positions = self._inbox.c, self._positions.c
        of_key = [inbox[name] == positions[name] for name in ("consumer_group", "topic", "key")]
        youngest = sa.select(inbox.apply_time).where(*of_key).order_by(inbox.number.desc()).limit(1)
        return sa.func.max(youngest.scalar_subquery())

    def _open_letter(self, connection: sa.Connection, place: Place) -> sa.Row[Any] | None:
        columns = self._dead.c
        found: Any = sa.select(columns.id, columns.reason, columns.error, columns.attempts).where(
            *self._of(self._dead, place[:2]), columns.number == place[2], columns.closed_time.is_(None)
        )
        row: sa.Row[Any] | None = connection.execute(found).first()
        return row

    def _parked_at(self, connection: sa.Connection, place: Place) -> sa.Row[Any] | None:
        columns = self._parked.c
        found: Any = sa.select(columns.attempts, columns.error, columns.retry_time).where(
            *self._of(self._parked, place[:2]), columns.number == place[2]
        )
        row: sa.Row[Any] | None = connection.execute(found).first()
        return row

    def _hole_open(self, connection: sa.Connection, place: Place) -> bool:
        columns = self._holes.c
        found = sa.select(columns.number).where(
            *self._of(self._holes, place[:2]), columns.number == place[2], columns.closed_time.is_(None)
        )
        return connection.execute(found).first() is not None

    def _of(self, table: sa.Table, key: Key) -> tuple[sa.ColumnElement[bool], ...]:
        return table.c.consumer_group == self._group, table.c.topic == key[0], table.c.key == key[1]

    def _filter(self, query: LetterQuery) -> list[sa.ColumnElement[bool]]:
        columns = self._dead.c
        exactly = [(name, getattr(query, name)) for name in ("topic", "key", "reason", "tenant_id")]
        # Those of a database are all of one group, as a rule; a page of them is read off by their ids.
        group = unindexed(columns.consumer_group) if query.with_closed else columns.consumer_group
        found = [group == self._group, *(columns[name] == value for name, value in exactly if value)]
        if query.from_time is not None:
            found.append(columns.last_time >= query.from_time)
        if query.to_time is not None:
            found.append(columns.last_time < query.to_time)
        if query.ids:
            found.append(columns.id.in_(query.ids))
        if not query.with_closed:
            found.append(columns.closed_time.is_(None))
        return found
