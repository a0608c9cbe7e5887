"""Serves how a service fares with the events it consumes (trunk.event.v1.ConsumerService), for its group."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import consumer_service_pb2_grpc as pb_grpc
from trunk.event.v1 import envelope_pb2
from trunk.event.v1 import event_log_service_pb2 as log_pb
from trunk.event.v1 import event_log_service_pb2_grpc as log_grpc

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import not_found
from trunkline.events.consuming.consumer import Consumer
from trunkline.events.consuming.ledger import Key
from trunkline.events.consuming.messages import letter_query, to_delivery, to_letter, to_parked, to_topic_state
from trunkline.events.consuming.rows import ConsumerRows, LetterQuery
from trunkline.events.late_commits import LateCommits
from trunkline.events.page_token import page_token, place_of
from trunkline.events.reach import is_hidden, own_tenant, require_reach
from trunkline.storage import Database, PlatformTables

DEFAULT_PAGE_SIZE = 50
"""Rows of a page whose size is not given."""
AT_ONCE = 500
"""Letters tried again by one call at most, and events that are read again."""


class ConsumerServicer(pb_grpc.ConsumerServiceServicer):
    """Tells how one group fares. What is to be tried again it parks, for the process that owns its shard."""

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        group: str,
        *,
        consumers: Mapping[str, Consumer],
        logs: Mapping[str, log_grpc.EventLogServiceAsyncStub],
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Puts it together.

        Args:
            database: The consumer's.
            tables: The library's tables in it.
            group: The service.
            consumers: Topic → what consumes it here.
            logs: Topic → its publisher's log.
            clock: Stamps what is parked.
            sleep: Waits between two looks at others' transactions.
        """
        self._database = database
        self._tables = tables
        self._rows = ConsumerRows(tables, group)
        self._late = LateCommits(database, tables.dead_letter, sleep=sleep)
        self._group = group
        self._consumers = consumers
        self._logs = logs
        self._clock = clock

    async def GetConsumerState(  # noqa: N802
        self, request: pb.GetConsumerStateRequest, context: Any
    ) -> pb.GetConsumerStateResponse:
        """Gets how far the group has come in each topic."""
        topics = [topic for topic in sorted(self._consumers) if request.topic in ("", topic)]
        figures, owners = await self._database.read(
            lambda connection: (self._rows.figures(connection, topics), self._owners(connection))
        )
        found = [to_topic_state(topic, figures[topic], owners[topic]) for topic in topics]
        return pb.GetConsumerStateResponse(group=self._group, topics=found)

    async def GetDeliveryState(  # noqa: N802
        self, request: pb.GetDeliveryStateRequest, context: Any
    ) -> pb.GetDeliveryStateResponse:
        """Gets what became of one event."""
        require_reach(key=request.key)
        self._require(request.topic)
        place = request.topic, request.key, request.number
        return to_delivery(await self._database.read(lambda connection: self._rows.delivery(connection, place)))

    async def ListDeadLetters(  # noqa: N802
        self, request: pb.ListDeadLettersRequest, context: Any
    ) -> pb.ListDeadLettersResponse:
        """Lists dead letters, youngest first."""
        query = _query(request.filter, with_closed=request.with_closed)
        token, size = request.page_token, request.page_size or DEFAULT_PAGE_SIZE
        before = int(place_of(token, (int,), query)[0]) if token else 0
        rows = await self._letters(query, before, size + 1)
        if len(rows) > size and not token:
            # Of a list that goes on nothing may come that would stand on a page before.
            rows = await self._letters(query, await self._late.settled() + 1, size + 1)
        more = page_token((rows[size - 1].id,), query) if len(rows) > size else ""
        return pb.ListDeadLettersResponse(letters=[to_letter(row) for row in rows[:size]], next_page_token=more)

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Any) -> pb.GetDeadLetterResponse:  # noqa: N802
        """Gets one dead letter with the bytes as they came."""
        return await self._database.read(
            lambda connection: pb.GetDeadLetterResponse(
                letter=to_letter(self._letter(connection, request.id), whole=True)
            )
        )

    async def RedriveDeadLetters(  # noqa: N802
        self, request: pb.RedriveDeadLettersRequest, context: Any
    ) -> pb.RedriveDeadLettersResponse:
        """Has open dead letters tried again."""
        query = _query(request.filter, ids=tuple(request.ids))

        def work(connection: sa.Connection) -> pb.RedriveDeadLettersResponse:
            for id_ in request.ids:
                self._letter(connection, id_)
            letters, remaining = self._rows.redrivable(connection, query, limit=request.limit or AT_ONCE)
            if not request.dry_run:
                self._rows.redrive(connection, letters, self._clock.now())
            return pb.RedriveDeadLettersResponse(letters=map(to_letter, letters), remaining=remaining)

        if request.dry_run:
            return await self._database.read(work)
        answer = await self._database.write(work)
        for topic in {letter.topic for letter in answer.letters} & self._consumers.keys():
            self._consumers[topic].wake()
        return answer

    async def ListParkedEvents(  # noqa: N802
        self, request: pb.ListParkedEventsRequest, context: Any
    ) -> pb.ListParkedEventsResponse:
        """Lists events that are parked."""
        require_reach(key=request.key)
        own, size = own_tenant(), request.page_size or DEFAULT_PAGE_SIZE
        arguments = (request.topic, request.key, own)
        after: Any = place_of(request.page_token, (str, str, int), *arguments) if request.page_token else None
        rows = await self._database.read(
            lambda connection: self._rows.parked(
                connection, request.topic, request.key, tenant_id=own, after=after, limit=size + 1
            )
        )
        shown = rows[:size]
        last = (shown[-1].topic, shown[-1].key, shown[-1].number) if len(rows) > size else None
        return pb.ListParkedEventsResponse(
            events=map(to_parked, shown), next_page_token=page_token(last, *arguments) if last else ""
        )

    async def ReplayEvents(self, request: pb.ReplayEventsRequest, context: Any) -> pb.ReplayEventsResponse:  # noqa: N802
        """Reads one page of a topic's log at its publisher, and has everything applied of it that was not."""
        require_reach(key=request.key)
        self._require(request.topic)
        asked = log_pb.ListEventsRequest(
            topic=request.topic, key=request.key, page_size=AT_ONCE, page_token=request.page_token
        )
        for bound in ("from_time", "to_time"):
            if request.HasField(bound):
                getattr(asked, bound).CopyFrom(getattr(request, bound))
        page = await self._logs[request.topic].ListEvents(asked)
        events = _by_key(request.topic, (one.envelope for one in page.events))
        delivered = await self._database.read(
            lambda connection: {key: self._rows.delivered(connection, key, numbers) for key, numbers in events.items()}
        )
        left = {
            key: [data for number, data in found.items() if number not in delivered[key]]
            for key, found in events.items()
        }
        if not request.dry_run:
            for key, envelopes in left.items():
                if envelopes:
                    await self._consumers[request.topic].park(key, envelopes)
        handed_on = sum(map(len, left.values()))
        return pb.ReplayEventsResponse(
            read=len(page.events),
            handed_on=handed_on,
            duplicates=len(page.events) - handed_on,
            next_page_token=page.next_page_token,
        )

    async def _letters(self, query: LetterQuery, before: int, limit: int) -> Sequence[sa.Row[Any]]:
        return await self._database.read(
            lambda connection: self._rows.letters(connection, query, before=before, limit=limit)
        )

    def _require(self, topic: str) -> None:
        if topic not in self._consumers:
            raise not_found("TOPIC_UNKNOWN", f"{self._group} does not consume this topic", topic=topic)

    def _letter(self, connection: sa.Connection, id_: int) -> sa.Row[Any]:
        row = self._rows.letter(connection, id_)
        if row is None or is_hidden(row.tenant_id or ""):
            raise not_found("DEAD_LETTER_UNKNOWN", "the group has no such dead letter", id=str(id_))
        return row

    def _owners(self, connection: sa.Connection) -> Mapping[str, list[str]]:
        """Topic → who owns its shards, by shard."""
        lease, worker = self._tables.lease, self._tables.worker
        prefix = f"consumer/{self._group}/"
        query = sa.select(lease.c.name, worker.c.label).outerjoin(worker, worker.c.id == lease.c.worker_id)
        found: dict[str, dict[int, str]] = defaultdict(dict)
        for name, label in connection.execute(query.where(lease.c.name.startswith(prefix, autoescape=True))):
            topic, _, shard = name.removeprefix(prefix).rpartition("/")
            found[topic][int(shard)] = label or ""
        owners = defaultdict[str, list[str]](list)
        owners.update({topic: [by.get(shard, "") for shard in range(max(by) + 1)] for topic, by in found.items()})
        return owners


def _query(filter_: pb.DeadLetterFilter, **more: Any) -> LetterQuery:
    require_reach(tenant_id=filter_.tenant_id, key=filter_.key)
    return letter_query(filter_, own_tenant(), **more)


def _by_key(topic: str, envelopes: Iterable[bytes]) -> Mapping[Key, dict[int, bytes]]:
    """Events by key and number."""
    found: dict[Key, dict[int, bytes]] = defaultdict(dict)
    for data in envelopes:
        envelope = envelope_pb2.Envelope.FromString(data)
        found[topic, envelope.key][envelope.number] = data
    return found
