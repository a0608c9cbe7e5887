"""Serves what a service has published (trunk.event.v1.EventLogService), from its own database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import sqlalchemy as sa
from trunk.event.v1 import event_log_service_pb2 as pb
from trunk.event.v1 import event_log_service_pb2_grpc as pb_grpc

from trunkline.errors import not_found
from trunkline.events.instants import given, stamp
from trunkline.events.late_commits import LateCommits
from trunkline.events.page_token import page_token, place_of
from trunkline.events.publishing.event_log_rows import EventLogRows, LogPage, LogQuery, TopicFigures
from trunkline.events.reach import is_hidden, own_tenant, require_reach
from trunkline.events.stream_id import StreamId
from trunkline.events.topics import DEFAULT_SHARDS, Topic
from trunkline.storage import Database, PlatformTables

DEFAULT_PAGE_SIZE = 100
"""Events of a page whose size is not given."""


class EventLogServicer(pb_grpc.EventLogServiceServicer):
    """Reads the outbox of one service."""

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        source: str,
        topics: Iterable[Topic],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Puts it together.

        Args:
            database: The publisher's.
            tables: The library's tables in it.
            source: The publisher.
            topics: All that there are; those of others are left out.
            sleep: Waits between two looks at others' transactions.
        """
        self._database = database
        self._rows = EventLogRows(tables)
        self._source = source
        self._late = LateCommits(database, tables.outbox, sleep=sleep)
        self._topics = sorted(topic.name for topic in topics if topic.publisher == source)

    async def ListEvents(self, request: pb.ListEventsRequest, context: Any) -> pb.ListEventsResponse:  # noqa: N802
        """Lists events of a topic."""
        require_reach(tenant_id=request.tenant_id, key=request.key)
        self._require(request.topic)
        query = LogQuery(
            request.topic,
            request.key,
            own_tenant() or request.tenant_id,
            given(request, "from_time"),
            given(request, "to_time"),
        )
        arguments = (query, request.from_number, request.to_number)
        place = place_of(request.page_token, (int, int), *arguments) if request.page_token else None
        limit = request.page_size or DEFAULT_PAGE_SIZE
        horizon = await self._late.settled() if place is None and not query.key else 0

        def read(connection: sa.Connection) -> tuple[LogPage, int]:
            if query.key:
                first = (request.from_number or 1) - 1, request.to_number
                after, last = map(int, place or first)
                return self._rows.of_key(connection, query, after, last, limit), last
            after, last = map(int, place or self._rows.bounds(connection, query, horizon))
            return self._rows.of_all(connection, query, after, last, limit), last

        page, last = await self._database.read(read)
        return pb.ListEventsResponse(
            events=map(_logged, page.rows),
            next_page_token=page_token((page.after, last), *arguments) if page.more else "",
        )

    async def GetEvent(self, request: pb.GetEventRequest, context: Any) -> pb.GetEventResponse:  # noqa: N802
        """Gets one event."""
        row = await self._database.read(lambda connection: self._rows.event(connection, request.event_id))
        if row is None or is_hidden(row.tenant_id):
            raise not_found("EVENT_UNKNOWN", "no event of this log has this id", event_id=request.event_id)
        return pb.GetEventResponse(event=_logged(row))

    async def GetEventLogState(  # noqa: N802
        self, request: pb.GetEventLogStateRequest, context: Any
    ) -> pb.GetEventLogStateResponse:
        """Gets how far the topics have come."""
        topics = [topic for topic in self._topics if request.topic in ("", topic)]
        figures, relay = await self._database.read(
            lambda connection: (self._rows.figures(connection, topics), self._rows.relay(connection))
        )
        return pb.GetEventLogStateResponse(topics=[_state(topic, figures[topic], relay) for topic in topics])

    def _require(self, topic: str) -> None:
        if topic not in self._topics:
            raise not_found("TOPIC_UNKNOWN", f"{self._source} does not publish this topic", topic=topic)


def _logged(row: sa.Row[Any]) -> pb.LoggedEvent:
    if row.stream_id is None:
        return pb.LoggedEvent(envelope=row.envelope, state=pb.LoggedEvent.STATE_UNSENT)
    state = pb.LoggedEvent.STATE_CONFIRMED if row.confirmed else pb.LoggedEvent.STATE_SENT
    entry = str(StreamId.parse(row.stream_id))
    return pb.LoggedEvent(envelope=row.envelope, state=state, shard=row.shard, stream_id=entry)


def _state(topic: str, figures: TopicFigures, relay: str) -> pb.TopicState:
    return pb.TopicState(
        topic=topic,
        shards=figures.shards or DEFAULT_SHARDS,
        published=figures.published,
        keys=figures.keys,
        unsent=figures.unsent,
        unconfirmed=figures.unconfirmed,
        oldest_pending_time=stamp(figures.oldest_pending_time),
        relay=relay,
    )
