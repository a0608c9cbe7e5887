"""What a consumer tells and does on request (trunk.event.v1.ConsumerService), beside a publisher's log."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import consumer_service_pb2_grpc as pb_grpc
from trunk.event.v1 import error_reason_pb2 as reason_pb
from trunk.event.v1 import event_log_service_pb2_grpc as log_grpc
from trunkline import headers
from trunkline.events.consuming.service import ConsumerServicer
from trunkline.events.publishing.event_log import EventLogServicer
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalSystem

from tests.services.callers import refusal, service
from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    OTHER_KEY,
    PLATFORM,
    SOURCE,
    TOPICS,
    Memo,
    Note,
    add,
    consumer,
    envelope,
    keep,
    publish,
    relay,
    running,
    seen,
    until,
    until_seen,
)
from tests.trunkline.events.reading import Reading

FOR_T, FOR_OTHER = (((headers.TENANT, tenant),) for tenant in ("t", "other"))


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[LocalSystem]:
    """A system with nothing in it."""
    async with LocalSystem(tmp_path / "system") as system:
        yield system


@pytest.fixture
async def reading(system: LocalSystem, publisher: Database, reader: Database, url: str, clock: FakeClock) -> Reading:
    """The reader, beside the notebook's log."""
    await system.stand_in(SOURCE, EventLogServicer(publisher, PLATFORM, SOURCE, TOPICS))
    log: Any = log_grpc.EventLogServiceStub(service(system, GROUP).channel(SOURCE))
    sick: set[str] = set()

    def apply(transaction: Any, event: Any) -> None:
        if event.message.text in sick:
            raise ValueError("cannot be applied")
        keep(transaction, event)

    worker = consumer(reader, url, {Note: apply, Memo: keep}, clock=clock)
    topics = ("notes", "memos")
    servicer = ConsumerServicer(
        reader,
        PLATFORM,
        GROUP,
        consumers=dict.fromkeys(topics, worker),
        logs=dict.fromkeys(topics, log),
        clock=clock,
    )
    await system.stand_in(GROUP, servicer)
    stub: Any = pb_grpc.ConsumerServiceStub(service(system, "cart").channel(GROUP))
    return Reading(stub, worker, reader, clock, sick)


async def test_tells_how_far_it_has_come(reading: Reading, client: Redis):
    """Numbers that are settled, what waits, who owns the shards; topics that nothing came on too."""
    await add(client, envelope(1), envelope(2), envelope(5))
    await add(client, envelope(1, key=OTHER_KEY), key=OTHER_KEY)
    async with running(reading.consumer):
        await until_seen(reading.database, [1], OTHER_KEY)

        async def parked() -> bool:
            return (await reading.topics())[1].parked == 1

        await until(parked)
        memos, notes = await reading.topics()
        assert (memos.topic, memos.settled, memos.keys, memos.HasField("last_apply_time")) == ("memos", 0, 0, False)
        assert (notes.topic, notes.settled, notes.keys, notes.open_holes) == ("notes", 3, 2, 0)
        assert notes.HasField("oldest_parked_time")
        assert len(notes.owners) == 8
        assert all(":" in owner for owner in notes.owners)
    (one,) = (await reading.stub.GetConsumerState(pb.GetConsumerStateRequest(topic="notes"))).topics
    assert one.topic == "notes"
    assert set(one.owners) == {""}


async def test_tells_what_became_of_an_event(reading: Reading, client: Redis):
    """Had its effect, waits for its turn, cannot be applied, has not come; of a topic it does not read: refused."""
    reading.sick.add("n2")
    await add(client, envelope(1), envelope(2), envelope(4))
    async with running(reading.consumer):
        await until_seen(reading.database, [1])

        async def failed() -> bool:
            return (await reading.delivery(2)).attempts > 0

        await until(failed)
        waiting, delivered = pb.DELIVERY_STATE_WAITING, pb.DELIVERY_STATE_DELIVERED
        assert [(await reading.delivery(number)).state for number in (1, 3, 5)] == [delivered, waiting, waiting]
        assert (await reading.delivery(2)).state == pb.DELIVERY_STATE_PARKED
        assert "ValueError" in (await reading.delivery(2)).error
        await reading.until_dead(1)
    dead = await reading.delivery(2)
    assert (dead.state, dead.reason, dead.attempts) == (
        pb.DELIVERY_STATE_DEAD,
        reason_pb.ERROR_REASON_APPLY_FAILED,
        5,
    )
    assert dead.dead_letter_id == (await reading.letters())[0].id
    request = pb.GetDeliveryStateRequest(topic="replies", key=KEY, number=1)
    assert (await refusal(reading.stub.GetDeliveryState(request)))[:2] == ("NOT_FOUND", "trunk.event/TOPIC_UNKNOWN")


async def _with_letters(reading: Reading, client: Redis) -> None:
    """Number 2 of each of two keys cannot be applied, and somebody has written what is no envelope."""
    reading.sick |= {"bad", "worse"}
    await add(client, envelope(1), envelope(2, text="bad"), envelope(3))
    await add(client, envelope(1, key=OTHER_KEY), envelope(2, key=OTHER_KEY, text="worse"), key=OTHER_KEY)
    await add(client, b"\xff")
    async with running(reading.consumer):
        await reading.until_dead(3)
        await until_seen(reading.database, [1, 3])


async def test_lists_and_shows_dead_letters(reading: Reading, client: Redis):
    """Youngest first, a page at a time, by what a filter names; one alone comes with its bytes."""
    await _with_letters(reading, client)
    letters = await reading.letters()
    assert [one.id for one in letters] == sorted((one.id for one in letters), reverse=True)
    assert not any(one.envelope for one in letters)
    (bad,) = await reading.letters(key=KEY, reason=reason_pb.ERROR_REASON_APPLY_FAILED)
    assert (bad.topic, bad.number, bad.tenant_id, bad.attempts) == ("notes", 2, "t", 5)
    assert (bad.type, bad.event_id, bad.HasField("closed_time")) == ("events.bench.Note", f"{KEY}#2", False)
    assert bad.consumer_version
    (junk,) = await reading.letters(reason=reason_pb.ERROR_REASON_UNDECODABLE)
    assert (junk.key, junk.type, junk.number) == ("", "", 0)
    assert re.fullmatch(r"\d:\d+-\d+", junk.entry)
    assert not await reading.letters(from_time={"seconds": 2**60})
    assert not await reading.letters(reason=99)
    whole = (await reading.stub.GetDeadLetter(pb.GetDeadLetterRequest(id=bad.id))).letter
    assert whole.envelope == envelope(2, text="bad")
    first = await reading.stub.ListDeadLetters(pb.ListDeadLettersRequest(page_size=2))
    rest = pb.ListDeadLettersRequest(page_size=2, page_token=first.next_page_token)
    assert [*first.letters, *(await reading.stub.ListDeadLetters(rest)).letters] == letters
    rest.with_closed = True
    assert (await refusal(reading.stub.ListDeadLetters(rest)))[1] == "trunk.event/PAGE_TOKEN_INVALID"
    refused = await refusal(reading.stub.GetDeadLetter(pb.GetDeadLetterRequest(id=99)))
    assert refused == ("NOT_FOUND", "trunk.event/DEAD_LETTER_UNKNOWN", {"id": "99"})


async def test_redrives_dead_letters(reading: Reading, client: Redis):
    """A dry run changes nothing; then each has its effect once, and its letter is closed; bytes of nothing stay."""
    await _with_letters(reading, client)
    assert await reading.redrive(dry_run=True) == ([2, 2], 0)
    assert await reading.redrive(dry_run=True, limit=1) == ([2], 1)
    reading.sick.clear()
    async with running(reading.consumer):
        assert await reading.redrive(filter=pb.DeadLetterFilter(key=KEY)) == ([2], 0)
        await until_seen(reading.database, [1, 3, 2])
        other = await reading.letters(topic="notes", tenant_id="t")
        assert [one.key for one in other] == [OTHER_KEY]
        assert await reading.redrive(ids=[other[0].id]) == ([2], 0)
        await until_seen(reading.database, [1, 2], OTHER_KEY)
        assert await reading.redrive() == ([], 0)
    assert [one.reason for one in await reading.letters()] == [reason_pb.ERROR_REASON_UNDECODABLE]
    refused = await refusal(reading.redrive(ids=[other[0].id, 99]))
    assert refused[1:] == ("trunk.event/DEAD_LETTER_UNKNOWN", {"id": "99"})


async def test_a_letter_that_fails_again_is_open_again(reading: Reading, client: Redis):
    """Its attempts are added up; while it is tried it is not sent a second time."""
    await _with_letters(reading, client)
    assert await reading.redrive(filter=pb.DeadLetterFilter(key=KEY)) == ([2], 0)
    assert await reading.redrive(filter=pb.DeadLetterFilter(key=KEY)) == ([], 0)
    assert (await reading.delivery(2)).state == pb.DELIVERY_STATE_PARKED

    async def failed() -> bool:
        reading.clock.advance(1)
        return (await reading.letters(key=KEY))[0].attempts == 10

    async with running(reading.consumer):
        await until(failed)
    assert (await reading.delivery(2)).state == pb.DELIVERY_STATE_DEAD


async def test_lists_parked_events(reading: Reading, client: Redis):
    """By topic, key and number, a page at a time, each with how far its key is."""
    await add(client, envelope(1), envelope(3), envelope(4))
    await add(client, envelope(2, key=OTHER_KEY), key=OTHER_KEY)
    async with running(reading.consumer):

        async def parked() -> bool:
            return (await reading.topics())[1].parked == 3

        await until(parked)
    request, found = pb.ListParkedEventsRequest(page_size=2), []
    while True:
        answer = await reading.stub.ListParkedEvents(request)
        found.append([(one.key, one.number, one.settled) for one in answer.events])
        request.page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    assert found == [[(KEY, 3, 1), (KEY, 4, 1)], [(OTHER_KEY, 2, 0)]]
    one = await reading.stub.ListParkedEvents(pb.ListParkedEventsRequest(topic="notes", key=OTHER_KEY))
    assert [(event.tenant_id, event.event_id) for event in one.events] == [("t", f"{OTHER_KEY}#2")]


async def _replay(reading: Reading, **request: Any) -> pb.ReplayEventsResponse:
    return await reading.stub.ReplayEvents(pb.ReplayEventsRequest(topic="notes", **request))


async def test_replays_what_was_not_applied(reading: Reading, publisher: Database, url: str):
    """What streams lack is read at its publisher; what had its effect is a duplicate, however often it is asked."""
    await publish(publisher, *"abc")
    async with running(relay(publisher, url), reading.consumer):
        await until_seen(reading.database, [1, 2, 3])
    await publish(publisher, "d", "e")
    await publish(publisher, "x", key=OTHER_KEY)
    async with running(reading.consumer):
        dry = await _replay(reading, dry_run=True)
        assert (dry.read, dry.handed_on, dry.duplicates, dry.next_page_token) == (6, 3, 3, "")
        assert len(await seen(reading.database)) == 3
        of_key = await _replay(reading, key=KEY, dry_run=True)
        assert (of_key.read, of_key.handed_on) == (5, 2)
        assert (await _replay(reading)).handed_on == 3
        await until_seen(reading.database, [1, 2, 3, 4, 5])
        await until_seen(reading.database, [1], OTHER_KEY)
        again = await _replay(reading)
        assert (again.read, again.handed_on, again.duplicates) == (6, 0, 6)
    assert len(await seen(reading.database)) == 6
    refused = await refusal(reading.stub.ReplayEvents(pb.ReplayEventsRequest(topic="replies")))
    assert refused[1] == "trunk.event/TOPIC_UNKNOWN"
    assert (await refusal(_replay(reading, page_token="x")))[1] == "trunk.event/PAGE_TOKEN_INVALID"


async def test_a_call_for_a_tenant_reaches_that_tenant_only(reading: Reading, client: Redis):
    """For another tenant there are no letters and no parked events, and its keys and filters are refused."""
    await _with_letters(reading, client)
    for metadata, numbers in ((FOR_T, 2), (FOR_OTHER, 0)):
        letters = await reading.stub.ListDeadLetters(pb.ListDeadLettersRequest(), metadata=metadata)
        assert len(letters.letters) == numbers
        dry = pb.RedriveDeadLettersRequest(dry_run=True)
        assert len((await reading.stub.RedriveDeadLetters(dry, metadata=metadata)).letters) == numbers
    letter = pb.GetDeadLetterRequest(id=letters_id(await reading.letters()))
    assert (await reading.stub.GetDeadLetter(letter, metadata=FOR_T)).letter.tenant_id == "t"
    hidden = await refusal(reading.stub.GetDeadLetter(letter, metadata=FOR_OTHER))
    assert hidden[1] == "trunk.event/DEAD_LETTER_UNKNOWN"
    await reading.redrive()
    for metadata, parked in ((FOR_T, 2), (FOR_OTHER, 0)):
        answer = await reading.stub.ListParkedEvents(pb.ListParkedEventsRequest(), metadata=metadata)
        assert len(answer.events) == parked
    filter_ = pb.DeadLetterFilter(tenant_id="t")
    for call in (
        reading.stub.GetDeliveryState(pb.GetDeliveryStateRequest(topic="notes", key=KEY, number=1), metadata=FOR_OTHER),
        reading.stub.ListDeadLetters(pb.ListDeadLettersRequest(filter=filter_), metadata=FOR_OTHER),
        reading.stub.RedriveDeadLetters(pb.RedriveDeadLettersRequest(filter=filter_), metadata=FOR_OTHER),
        reading.stub.ListParkedEvents(pb.ListParkedEventsRequest(key=KEY), metadata=FOR_OTHER),
        reading.stub.ReplayEvents(pb.ReplayEventsRequest(topic="notes", key=KEY), metadata=FOR_OTHER),
    ):
        assert (await refusal(call))[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")


def letters_id(letters: list[pb.DeadLetter]) -> int:
    """Id of one that has a tenant."""
    return next(one.id for one in letters if one.tenant_id)
