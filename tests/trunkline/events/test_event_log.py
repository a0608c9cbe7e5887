"""What a publisher tells of its events (trunk.event.v1.EventLogService)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf import timestamp_pb2
from trunk.event.v1 import envelope_pb2
from trunk.event.v1 import event_log_service_pb2 as pb
from trunk.event.v1 import event_log_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events import topic_of
from trunkline.events.publishing import event_log_rows
from trunkline.events.publishing.event_log import EventLogServicer
from trunkline.events.publishing.event_log_rows import LogQuery
from trunkline.storage import Database
from trunkline.testing.local import LocalSystem

from tests.services.callers import refusal, service, till
from tests.trunkline.events.notes import KEY, OTHER_KEY, PLATFORM, SOURCE, TOPICS, Memo, Reply, publish

EVENT = pb.LoggedEvent


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[LocalSystem]:
    """A system with nothing in it."""
    async with LocalSystem(tmp_path / "system") as system:
        yield system


@pytest.fixture
async def log(system: LocalSystem, publisher: Database) -> pb_grpc.EventLogServiceAsyncStub:
    """The log of the notebook, for another service."""
    await system.stand_in(SOURCE, EventLogServicer(publisher, PLATFORM, SOURCE, (*TOPICS, topic_of(Reply))))
    return pb_grpc.EventLogServiceStub(service(system, "reader").channel(SOURCE))


def places(answer: pb.ListEventsResponse) -> list[tuple[str, int]]:
    """Key and number of each event."""
    found = [envelope_pb2.Envelope.FromString(one.envelope) for one in answer.events]
    return [(one.key, one.number) for one in found]


async def listed(log: pb_grpc.EventLogServiceAsyncStub, **request: Any) -> list[list[tuple[str, int]]]:
    """All pages of a list."""
    asked, pages = pb.ListEventsRequest(topic="notes", **request), []
    while True:
        answer = await log.ListEvents(asked)
        pages.append(places(answer))
        asked.page_token = answer.next_page_token
        if not answer.next_page_token:
            return pages


async def test_lists_a_key_by_number(log, publisher):
    """The numbers of a key that are asked for come in their order, a page at a time; those of others do not."""
    await publish(publisher, *"abcdef")
    await publish(publisher, "x", key=OTHER_KEY)
    assert await listed(log, key=KEY, from_number=2, to_number=5, page_size=3) == [
        [(KEY, 2), (KEY, 3), (KEY, 4)],
        [(KEY, 5)],
    ]
    assert await listed(log, key=KEY, from_number=7) == [[]]


async def test_lists_all_keys_in_the_order_of_commits(log, publisher):
    """Without a key events come as they were committed, those of other topics left out."""
    for key in (KEY, OTHER_KEY, KEY):
        await publish(publisher, "n", key=key)
        await publish(publisher, "m", message=Memo)
    assert [one for page in await listed(log, page_size=2) for one in page] == [(KEY, 1), (OTHER_KEY, 1), (KEY, 2)]


async def test_a_page_looks_at_so_many_rows_and_no_more(log, publisher, monkeypatch):
    """Rare events among many of another topic are found, over pages that may be empty."""
    monkeypatch.setattr(event_log_rows, "SPAN", 4)
    await publish(publisher, "first")
    await publish(publisher, *"0123456789", message=Memo)
    await publish(publisher, "last")
    assert await listed(log) == [[(KEY, 1)], [], [(KEY, 2)]]


async def test_a_page_is_found_by_the_primary_key(log, publisher):
    """Whatever else is asked, a page over all keys sorts nothing and reads no index of the topic to its end."""
    seen: list[str] = []
    query = LogQuery("notes", tenant_id="t", from_time=SYSTEM_CLOCK.now(), to_time=SYSTEM_CLOCK.now())

    def explain(connection: sa.Connection) -> None:
        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            seen.extend(row[3] for row in connection.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

        sa.event.listen(connection, "before_cursor_execute", note)
        event_log_rows.EventLogRows(PLATFORM).of_all(connection, query, 5, 500, 10)
        sa.event.remove(connection, "before_cursor_execute", note)

    await publisher.read(explain)
    assert seen == ["SEARCH outbox USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]


async def test_a_page_holds_so_many_bytes(log, publisher, monkeypatch):
    """Long events make a page shorter; one that is longer than a page comes alone."""
    monkeypatch.setattr(event_log_rows, "MAX_BYTES", 3000)
    await publish(publisher, "a" * 500, "b" * 500, "c" * 5000, "d")
    assert [len(page) for page in await listed(log, key=KEY)] == [2, 1, 1]
    assert [len(page) for page in await listed(log)] == [2, 1, 1]


async def test_lists_what_was_committed_in_a_time(log, publisher):
    """From an instant on, and before another; both bounds may be beyond all times."""
    await publish(publisher, *"abc")
    outbox, start = PLATFORM.outbox, SYSTEM_CLOCK.now()
    for number in (1, 2, 3):
        moved = sa.update(outbox).where(outbox.c.number == number).values(create_time=start + timedelta(hours=number))
        await publisher.write(lambda connection, moved=moved: connection.execute(moved) and None)
    second, third = timestamp_pb2.Timestamp(), timestamp_pb2.Timestamp()
    second.FromDatetime(start + timedelta(hours=2))
    third.FromDatetime(start + timedelta(hours=3))
    assert await listed(log, from_time=second, to_time=third) == [[(KEY, 2)]]
    assert await listed(log, from_time=second, page_size=1) == [[(KEY, 2)], [(KEY, 3)]]
    assert await listed(log, key=KEY, to_time=third) == [[(KEY, 1), (KEY, 2)]]
    far = timestamp_pb2.Timestamp(seconds=2**60)
    assert await listed(log, from_time=far) == [[]]
    assert await listed(log, to_time=far) == [[(KEY, 1), (KEY, 2), (KEY, 3)]]


async def test_a_page_token_holds_for_its_list_only(log, publisher):
    """Tokens of other arguments, and what is no token, are refused."""
    await publish(publisher, *"abc")
    token = (await log.ListEvents(pb.ListEventsRequest(topic="notes", page_size=1))).next_page_token
    for request in (
        {"key": KEY, "page_token": token},
        {"page_token": "nonsense"},
        {"tenant_id": "t", "page_token": token},
    ):
        refused = await refusal(log.ListEvents(pb.ListEventsRequest(topic="notes", **request)))
        assert refused[:2] == ("INVALID_ARGUMENT", "trunk.event/PAGE_TOKEN_INVALID")


async def test_a_page_token_holds_for_its_tenant_only(log, publisher):
    """Where both call for a tenant, one cannot go on where the other was."""
    await publish(publisher, *"abc")
    request = pb.ListEventsRequest(topic="notes", page_size=1)
    request.page_token = (await log.ListEvents(request, metadata=((headers.TENANT, "t"),))).next_page_token
    assert request.page_token
    refused = await refusal(log.ListEvents(request, metadata=((headers.TENANT, "other"),)))
    assert refused[:2] == ("INVALID_ARGUMENT", "trunk.event/PAGE_TOKEN_INVALID")


async def test_other_topics_are_unknown(log):
    """A topic that another service publishes, or none, is refused by its name."""
    for topic in ("replies", "nothing"):
        refused = await refusal(log.ListEvents(pb.ListEventsRequest(topic=topic)))
        assert refused == ("NOT_FOUND", "trunk.event/TOPIC_UNKNOWN", {"topic": topic})


async def test_gets_an_event_and_how_far_it_has_come(log, publisher):
    """An event is found by its id, with the bytes that were committed, and its entry once it has one."""
    await publish(publisher, "a")
    ((raw, event_id),) = await publisher.read(
        lambda connection: connection.execute(sa.select(PLATFORM.outbox.c.envelope, PLATFORM.outbox.c.event_id)).all()
    )
    request = pb.GetEventRequest(event_id=event_id)
    assert (await log.GetEvent(request)).event == EVENT(envelope=raw, state=EVENT.STATE_UNSENT)
    sent = sa.update(PLATFORM.outbox).values(shard=3, stream_id=f"{17:020d}-{1:020d}")
    await publisher.write(lambda connection: connection.execute(sent) and None)
    assert (await log.GetEvent(request)).event == EVENT(envelope=raw, state=EVENT.STATE_SENT, shard=3, stream_id="17-1")
    await publisher.write(lambda connection: connection.execute(sent.values(confirmed=True)) and None)
    assert (await log.GetEvent(request)).event.state == EVENT.STATE_CONFIRMED
    refused = await refusal(log.GetEvent(pb.GetEventRequest(event_id="none")))
    assert refused == ("NOT_FOUND", "trunk.event/EVENT_UNKNOWN", {"event_id": "none"})


async def test_sums_up_each_topic(log, publisher):
    """What was published in all, what waits and since when; a topic without events is told, too."""
    before = SYSTEM_CLOCK.now()
    await publish(publisher, *"abc")
    await publish(publisher, "x", key=OTHER_KEY)
    sent = sa.update(PLATFORM.outbox).where(PLATFORM.outbox.c.key == OTHER_KEY).values(shard=0, stream_id="1-1")
    await publisher.write(lambda connection: connection.execute(sent) and None)
    memos, notes = (await log.GetEventLogState(pb.GetEventLogStateRequest())).topics
    assert memos == pb.TopicState(topic="memos", shards=8)
    assert (notes.topic, notes.published, notes.keys, notes.unsent, notes.unconfirmed) == ("notes", 4, 2, 3, 1)
    assert notes.oldest_pending_time.ToDatetime(before.tzinfo) >= before - timedelta(seconds=1)
    (one,) = (await log.GetEventLogState(pb.GetEventLogStateRequest(topic="memos"))).topics
    assert one == memos


async def test_tells_which_process_relays(log, publisher):
    """The holder of the relay's lease is named."""
    rows = [
        sa.insert(PLATFORM.worker).values(
            id="w", label="host:1", machine="m", pid=1, beat=1, start_time=SYSTEM_CLOCK.now()
        ),
        sa.insert(PLATFORM.lease).values(name="relay", worker_id="w", term=1, take_time=SYSTEM_CLOCK.now()),
    ]
    for row in rows:
        await publisher.write(lambda connection, row=row: connection.execute(row) and None)
    assert {one.relay for one in (await log.GetEventLogState(pb.GetEventLogStateRequest())).topics} == {"host:1"}


async def test_a_call_for_a_tenant_sees_that_tenants_events_only(log, publisher):
    """A service that acts for a tenant is told nothing of others; a terminal may not ask at all."""
    await publish(publisher, "a")
    request = pb.ListEventsRequest(topic="notes")
    for tenant, expected in (("t", 1), ("other", 0)):
        assert len((await log.ListEvents(request, metadata=((headers.TENANT, tenant),))).events) == expected
    requests: list[dict[str, Any]] = [{"key": KEY}, {"tenant_id": "t"}]
    for asked in requests:
        request = pb.ListEventsRequest(topic="notes", **asked)
        assert len((await log.ListEvents(request, metadata=((headers.TENANT, "t"),))).events) == 1
        refused = await refusal(log.ListEvents(request, metadata=((headers.TENANT, "other"),)))
        assert refused[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")
    (event_id,) = await publisher.read(
        lambda connection: connection.scalars(sa.select(PLATFORM.outbox.c.event_id)).all()
    )
    hidden = log.GetEvent(pb.GetEventRequest(event_id=event_id), metadata=((headers.TENANT, "other"),))
    assert (await refusal(hidden))[:2] == ("NOT_FOUND", "trunk.event/EVENT_UNKNOWN")


async def test_only_services_ask(system, publisher):
    """A terminal is refused."""
    await system.stand_in(SOURCE, EventLogServicer(publisher, PLATFORM, SOURCE, (*TOPICS, topic_of(Reply))))
    stub: Any = pb_grpc.EventLogServiceStub(till(system).channel(SOURCE))
    refused = await refusal(stub.ListEvents(pb.ListEventsRequest(topic="notes")))
    assert refused[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")
