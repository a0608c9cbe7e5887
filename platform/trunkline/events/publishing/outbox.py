"""The relay's half of the outbox: which rows to send, which are sent, which are confirmed. Inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from trunkline.events.shard import Shard, ShardState
from trunkline.events.stream_id import StreamId
from trunkline.storage import PlatformTables
from trunkline.storage.bulk import Lookup, Prepared
from trunkline.storage.types import unindexed

CHUNK = 500
"""Rows marked in one transaction, so that calls do not wait for it."""
UNSENT_BYTES = 4 * 1024 * 1024
"""Bytes of envelopes that are sent at once, or one envelope that is longer: they have one time limit."""
_AFTER_ALL = "~"


class Unsent(NamedTuple):
    """An event that has yet to be sent."""

    id: int
    """Of its row."""
    topic: str
    """Topic it belongs to."""
    key: str
    """Key its order is kept by."""
    data: bytes
    """Its envelope, serialized."""


class Sent(NamedTuple):
    """An event that was sent."""

    id: int
    """Of its row."""
    shard: int
    """Shard of its topic."""
    stream_id: StreamId
    """Its entry."""
    confirmed: bool
    """Nobody has to confirm it."""


class OutboxRows:
    """The rows of some topics."""

    def __init__(self, tables: PlatformTables, topics: Iterable[str]) -> None:
        self._settings = tables.outbox_setting
        outbox = self._outbox = tables.outbox
        self._unconfirmed = tables.unconfirmed
        topic = unindexed(outbox.c.topic)
        unsent = (
            sa.select(outbox.c.id, outbox.c.topic, outbox.c.key, outbox.c.envelope)
            .where(tables.unsent, sa.or_(*(topic == name for name in topics)))
            .order_by(outbox.c.id)
            .limit(sa.bindparam("_limit"))
        )
        self._unsent = Lookup(unsent, outbox.c.id, without=True)
        self._newest = sa.select(sa.func.max(outbox.c.id))
        self._any_unconfirmed = sa.select(outbox.c.id).where(tables.unconfirmed).limit(1)
        mark_sent = (
            sa.update(outbox)
            .where(outbox.c.id == sa.bindparam("_id"))
            .values(
                shard=sa.bindparam("_shard"),
                stream_id=sa.bindparam("_stream_id"),
                confirmed=sa.bindparam("_confirmed"),
            )
        )
        self._mark_sent = Prepared(("_id", "_shard", "_stream_id", "_confirmed"), lambda _: mark_sent)

    def decide_shards(self, connection: sa.Connection, wanted: Mapping[str, int], now: datetime) -> dict[str, int]:
        """Shards of each topic: as they were decided first. Keys would change streams, and lose their order."""
        table = self._settings
        decided = {row.topic: row.shards for row in connection.execute(sa.select(table.c.topic, table.c.shards))}
        rows = [
            {"topic": topic, "shards": shards, "create_time": now}
            for topic, shards in wanted.items()
            if topic not in decided
        ]
        if rows:
            connection.execute(sa.insert(table), rows)
        return {topic: decided.get(topic, shards) for topic, shards in wanted.items()}

    def unsent(self, connection: sa.Connection, limit: int, held: Collection[int] = ()) -> list[Unsent]:
        """Rows to send next, in the order of their numbering, fewer where they are long.

        Chosen by state: a late commit is not passed over.

        Args:
            connection: Of the transaction.
            limit: Most rows.
            held: Rows that are on their way already.
        """
        found, size = list[Unsent](), 0
        with self._unsent.rows(connection, held, _limit=limit) as rows:
            for row in map(Unsent._make, rows):
                found.append(row)
                size += len(row.data)
                if size >= UNSENT_BYTES:
                    break
        return found

    def newest(self, connection: sa.Connection) -> int:
        """Id of the newest row, of any topic; 0: there is none."""
        return connection.scalar(self._newest) or 0

    def mark_sent(self, connection: sa.Connection, rows: Sequence[Sent]) -> None:
        """Keeps where rows were sent to."""
        columns = (
            [row.id for row in rows],
            [row.shard for row in rows],
            [row.stream_id.sortable for row in rows],
            [row.confirmed for row in rows],
        )
        self._mark_sent.run(connection, columns)

    def lost_from(self, connection: sa.Connection, states: Mapping[Shard, ShardState]) -> list[Shard]:
        """Streams that lack entries which not every group has confirmed."""
        if connection.execute(self._any_unconfirmed).first() is None:
            return []
        return [
            shard
            for shard, state in states.items()
            if any(
                connection.execute(self._of(shard, outside).limit(1)).first() is not None
                # One after the other: each is a range of the index, both together are not.
                for outside in self._outside(state)
            )
        ]

    def mark_unsent(self, connection: sa.Connection, shard: Shard, state: ShardState) -> int:
        """Takes back that entries were sent which the stream lacks; says of how many, CHUNK if there may be more."""
        lost = self._of(shard, sa.or_(*self._outside(state))).limit(CHUNK)
        statement = sa.update(self._outbox).where(self._outbox.c.id.in_(lost)).values(shard=None, stream_id=None)
        return connection.execute(statement).rowcount

    def mark_confirmed(self, connection: sa.Connection, shard: Shard, up_to: StreamId) -> int:
        """Marks what every group has confirmed; says how many rows, CHUNK if there may be more."""
        rows = self._of(shard, self._outbox.c.stream_id <= up_to.sortable).limit(CHUNK)
        statement = sa.update(self._outbox).where(self._outbox.c.id.in_(rows)).values(confirmed=True)
        return connection.execute(statement).rowcount

    def _of(self, shard: Shard, condition: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
        columns = self._outbox.c
        return sa.select(columns.id).where(
            columns.topic == shard.topic, columns.shard == shard.number, self._unconfirmed, condition
        )

    def _outside(self, state: ShardState) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        column = self._outbox.c.stream_id
        first = state.first.sortable if state.first is not None else _AFTER_ALL
        return column < first, column > state.last.sortable
