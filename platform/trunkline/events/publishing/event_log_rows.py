"""The outbox as a log that is read again: by key and number, in the order of commits, and summed up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trunkline.storage import PlatformTables
from trunkline.storage.types import unindexed

SPAN = 5_000
"""Rows that are looked at for one page: what a rare event costs."""
MAX_BYTES = 1024 * 1024
"""Envelopes in one page, but for the first: well below what a message may hold."""
RELAY_LEASE = "relay"
"""Lease of the process that relays."""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which events of a topic are meant."""

    topic: str
    """The topic."""
    key: str = ""
    """Only of this key; empty: of all."""
    tenant_id: str = ""
    """Only of this tenant; empty: of all."""
    from_time: datetime | None = None
    """Committed then or later."""
    to_time: datetime | None = None
    """Committed before."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some events in their order."""

    rows: list[sa.Row[Any]]
    """Rows with envelope, shard, stream_id and confirmed."""
    after: int
    """Where the next page begins: row, or number of a key, after which it does."""
    more: bool
    """Whether there may be a next page."""


@dataclass(frozen=True, slots=True)
class TopicFigures:
    """How far a topic has come."""

    shards: int = 0
    """Streams it is spread over; 0 before its publisher has decided."""
    published: int = 0
    """Sum of the last numbers of all keys."""
    keys: int = 0
    """Keys that have events."""
    unsent: int = 0
    """Events that are not in their stream."""
    unconfirmed: int = 0
    """Events in their stream that a group has yet to confirm."""
    oldest_pending_time: datetime | None = None
    """When the oldest of both was committed."""


class EventLogRows:
    """Queries of one publisher's log."""

    def __init__(self, tables: PlatformTables) -> None:
        self._tables = tables
        columns = self._columns = tables.outbox.c
        self._what: tuple[sa.ColumnElement[Any], ...] = (
            columns.id,
            columns.number,
            columns.envelope,
            columns.shard,
            columns.stream_id,
            columns.confirmed,
        )

    def of_key(self, connection: sa.Connection, query: LogQuery, after: int, last: int, limit: int) -> LogPage:
        """Events of the query's key by number, after one number and up to another; last 0: no bound."""
        columns = self._columns
        found = sa.select(*self._what).where(
            columns.topic == query.topic,
            columns.key == query.key,
            columns.number > after,
            *([columns.number <= last] if last else []),
            *self._filter(query),
        )
        rows, more = _fitting(connection, found.order_by(columns.number), limit)
        return LogPage(rows, rows[-1].number if rows else after, more)

    def of_all(self, connection: sa.Connection, query: LogQuery, after: int, last: int, limit: int) -> LogPage:
        """Events of all keys in the order of commits, after one row and up to another, at most SPAN rows further."""
        columns = self._columns
        end = min(after + SPAN, last)
        # With the column alone the index over it would be read to its end, and sorted, for every page.
        of_topic = columns.topic.concat("") == query.topic
        found = sa.select(*self._what).where(columns.id > after, columns.id <= end, of_topic, *self._filter(query))
        rows, more = _fitting(connection, found.order_by(columns.id), limit)
        return LogPage(rows, rows[-1].id if more else end, more or end < last)

    def bounds(self, connection: sa.Connection, query: LogQuery, horizon: int) -> tuple[int, int]:
        """The row before the first one that a query over all keys can mean, and the last one, up to the horizon."""
        columns = self._columns
        if query.from_time is None and query.to_time is None:
            return 0, horizon
        span = sa.select(sa.func.min(columns.id), sa.func.max(columns.id))
        found = span.where(columns.topic == query.topic, columns.id <= horizon, *self._times(query))
        first, last = connection.execute(found).one()
        return (first or 1) - 1, last or 0

    def event(self, connection: sa.Connection, event_id: str) -> sa.Row[Any] | None:
        """The event of an id."""
        columns = self._columns
        found: Any = sa.select(*self._what, columns.tenant_id).where(columns.event_id == event_id)
        row: sa.Row[Any] | None = connection.execute(found).first()
        return row

    def figures(self, connection: sa.Connection, topics: Iterable[str]) -> Mapping[str, TopicFigures]:
        """How far topics have come."""
        found: dict[str, dict[str, Any]] = {topic: {} for topic in topics}
        settings, numbers, columns = self._tables.outbox_setting.c, self._tables.outbox_number.c, self._columns
        count, oldest = sa.func.count(), sa.func.min(columns.create_time)
        for row in connection.execute(sa.select(settings.topic, settings.shards)):
            found.get(row.topic, {})["shards"] = row.shards
        summed = sa.select(numbers.topic, sa.func.sum(numbers.number), count).group_by(numbers.topic)
        for topic, published, keys in connection.execute(summed):
            found.get(topic, {}).update(published=int(published), keys=keys)
        topic_of_row = unindexed(columns.topic)
        for name, condition in (("unsent", self._tables.unsent), ("unconfirmed", self._tables.unconfirmed)):
            pending = sa.select(topic_of_row, count, oldest).where(condition).group_by(topic_of_row)
            for topic, events, time in connection.execute(pending):
                told = found.get(topic, {})
                before = told.get("oldest_pending_time", time)
                told.update({name: events, "oldest_pending_time": min(before, time)})
        return {topic: TopicFigures(**told) for topic, told in found.items()}

    def relay(self, connection: sa.Connection) -> str:
        """Label of the process that relays; empty where none does."""
        worker, lease = self._tables.worker, self._tables.lease
        holder = sa.select(worker.c.label).join(lease, lease.c.worker_id == worker.c.id)
        return connection.scalar(holder.where(lease.c.name == RELAY_LEASE)) or ""

    def _filter(self, query: LogQuery) -> list[sa.ColumnElement[bool]]:
        tenant = [self._columns.tenant_id == query.tenant_id] if query.tenant_id else []
        return [*tenant, *self._times(query)]

    def _times(self, query: LogQuery) -> list[sa.ColumnElement[bool]]:
        time, found = self._columns.create_time, list[sa.ColumnElement[bool]]()
        if query.from_time is not None:
            found.append(time >= query.from_time)
        if query.to_time is not None:
            found.append(time < query.to_time)
        return found


def _fitting(connection: sa.Connection, query: sa.Select[Any], limit: int) -> tuple[list[sa.Row[Any]], bool]:
    """Rows that fit a page, and whether there are others."""
    rows, size = list[sa.Row[Any]](), 0
    with connection.execute(query.limit(limit + 1)) as found:
        for row in found:
            size += len(row.envelope)
            if len(rows) == limit or (rows and size > MAX_BYTES):
                return rows, True
            rows.append(row)
    return rows, False
