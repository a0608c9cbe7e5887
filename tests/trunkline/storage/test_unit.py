"""The unit of work: key, effect, events and answer are committed together or not at all."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable

import grpc
import pytest
import sqlalchemy as sa
from trunk.event.v1 import envelope_pb2
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.call import IdempotencyContext, InboundCall, Principal, serving
from trunkline.errors import ServiceError
from trunkline.storage import Database, Transaction, UnitOfWork
from trunkline.testing.clock import FakeClock

from tests.trunkline.storage.bench import ADD, COUNTER, PLATFORM, SOURCE, Added, add, adding, call, names, numbers
from tests.trunkline.storage.kinds import AHEAD, BOTH

KINDS = (*BOTH, AHEAD)


async def test_effect_event_and_answer_are_there_after_run(database: Database, unit: UnitOfWork):
    """One run leaves the effect, its event and the answer under the key."""
    with call("k", answers=unit.answers) as current:
        answer = await unit.run(adding("one"))
        assert current.idempotency is not None
        assert current.idempotency.answer == answer.SerializeToString()
        assert await unit.answers.find(current.idempotency) == answer.SerializeToString()
    assert answer == pb.AddResponse(value=1)
    assert await database.read(names) == ["one"]
    assert await database.read(numbers) == [1]


async def test_repeat_gets_the_first_answer_and_does_nothing(database: Database, unit: UnitOfWork):
    """A second run under the same key gives the stored answer; its work does not run."""
    for name in ("one", "two"):
        with call("k", answers=unit.answers):
            assert await unit.run(adding(name)) == pb.AddResponse(value=1)
    assert await database.read(names) == ["one"]
    assert await database.read(numbers) == [1]


async def test_key_with_another_request_is_refused(database: Database, unit: UnitOfWork):
    """The same key with another fingerprint is INVALID_ARGUMENT / IDEMPOTENCY_KEY_REUSED and changes nothing."""
    with call("k", answers=unit.answers, request=b"a"):
        await unit.run(adding("one"))
    with call("k", answers=unit.answers, request=b"b"), pytest.raises(ServiceError) as refused:
        await unit.run(adding("two"))
    assert (refused.value.code, refused.value.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "IDEMPOTENCY_KEY_REUSED",
    )
    assert refused.value.domain == "trunk"
    assert await database.read(names) == ["one"]


async def test_calls_with_one_key_at_once_have_one_effect(database: Database, unit: UnitOfWork):
    """Fifty runs under one key at the same time: one effect, and everybody gets its answer."""

    async def one(number: int) -> pb.AddResponse:
        with call("k", answers=unit.answers):
            return await unit.run(adding(f"try {number}"))

    answers = await asyncio.gather(*(one(number) for number in range(50)))
    assert {answer.value for answer in answers} == {1}
    assert len(await database.read(names)) == 1
    assert await database.read(numbers) == [1]


async def test_key_belongs_to_its_tenant(database: Database, unit: UnitOfWork):
    """Two tenants may use the same key: each has its own effect."""
    for tenant in ("t", "u"):
        with call("k", answers=unit.answers, tenant=tenant):
            assert (await unit.run(adding("one", tenant=tenant))).value == 1
    assert await database.read(names) == ["one", "one"]


async def test_key_without_tenant_belongs_to_its_subject(unit: UnitOfWork):
    """Where a call has no tenant, the same key of two callers is two calls."""
    values = []
    for subject in ("cart", "report", "cart"):
        inbound = InboundCall(ADD, sender=Principal("service", subject))
        inbound.idempotency = IdempotencyContext("", ADD, "k", unit.answers.fingerprint(b""), secret=False)
        with serving(inbound):
            values.append((await unit.run(adding(uuid.uuid4().hex))).value)
    assert values == [1, 2, 1]


async def test_failing_work_leaves_nothing(database: Database, unit: UnitOfWork, woken: list[None]):
    """What work did before it raised is undone: effect, event and number; and its key is free for a corrected call."""

    def fail(tx: Transaction) -> pb.AddResponse:
        add(tx, "one")
        raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, "AS_ASKED", "no")

    with call("k", answers=unit.answers, request=b"wrong"), pytest.raises(ServiceError, match="AS_ASKED"):
        await unit.run(fail)
    assert await database.read(names) == []
    assert woken == []
    with call("k", answers=unit.answers, request=b"right"):
        await unit.run(adding("two"))
    assert await database.read(names) == ["two"]
    assert await database.read(numbers) == [1]


async def test_numbers_have_no_holes(database: Database, unit: UnitOfWork):
    """Each (topic, key) is numbered from 1 without holes, whatever fails in between."""

    async def publish(number: int) -> None:
        def work(tx: Transaction) -> pb.AddResponse:
            tx.publish(Added(text=str(number)), key=f"t/s/{number % 3}", subject="x", tenant_id="t")
            if number % 4 == 0:
                raise ValueError("no")
            return pb.AddResponse()

        await unit.run(work)

    await asyncio.gather(*(publish(number) for number in range(60)), return_exceptions=True)
    outbox = PLATFORM.outbox.c
    rows = await database.read(lambda c: c.execute(sa.select(outbox.key, outbox.number).order_by(outbox.id)).all())
    by_key = {key: [row.number for row in rows if row.key == key] for key in ("t/s/0", "t/s/1", "t/s/2")}
    assert by_key == {key: list(range(1, 16)) for key in by_key}


async def test_envelope_tells_what_it_carries(database: Database, unit: UnitOfWork, clock: FakeClock):
    """The stored bytes are an Envelope with all that consumers and tools go by."""
    with call() as current:
        await unit.run(adding("one"))
    row = await database.read(lambda c: c.execute(sa.select(PLATFORM.outbox)).one())
    envelope = envelope_pb2.Envelope.FromString(row.envelope)
    assert (envelope.id, envelope.number) == (row.event_id, 1)
    assert (envelope.source, envelope.type, envelope.topic) == (SOURCE, "storage.bench.Added", "addlog")
    assert (envelope.tenant_id, envelope.key, envelope.subject) == ("t", "t/s/1", "effects/one")
    assert envelope.time.ToJsonString() == "2026-01-05T09:00:00Z"
    assert envelope.request_id == current.request_id
    assert Added.FromString(envelope.payload) == Added(text="one")
    assert (row.create_time, row.stream_id, row.confirmed) == (clock.now(), None, False)


async def test_tenant_of_an_event_is_that_of_the_call(database: Database, unit: UnitOfWork):
    """Where publish names no tenant, the event belongs to the call's."""

    def work(tx: Transaction) -> pb.AddResponse:
        assert tx.publish(Added(), key="v/s", subject="x") == 1
        return pb.AddResponse()

    with call(tenant="v"):
        await unit.run(work)
    assert await database.read(lambda c: c.scalar(sa.select(PLATFORM.outbox.c.tenant_id))) == "v"


@pytest.mark.parametrize(
    ("message", "key", "tenant", "said"),
    [
        pytest.param(Added(), "t/s", None, "belongs to a tenant", id="no tenant"),
        pytest.param(Added(), "u/s", "t", "starts with its tenant", id="key of another tenant"),
        pytest.param(Added(), "tt/s", "t", "starts with its tenant", id="tenant with the same beginning"),
        pytest.param(identity_pb.PublicKey(), "t/s", "t", "published by nobody", id="no topic"),
    ],
)
async def test_event_that_belongs_nowhere_is_refused(database, unit, message, key, tenant, said):
    """Publish refuses what consumers could not place, and the unit leaves nothing."""
    with pytest.raises(ValueError, match=said):
        await unit.run(lambda tx: tx.publish(message, key=key, subject="x", tenant_id=tenant))
    assert await database.read(numbers) == []


async def test_topic_of_another_service_is_refused(database: Database, tmp_path):
    """Only the publisher that a topic declares may publish on it."""
    other = UnitOfWork(database, PLATFORM, source="other", secret_file=tmp_path / "s")
    with pytest.raises(ValueError, match="published by bench, not by other"):
        await other.run(adding("one"))


async def test_relay_is_woken_by_events_only(unit: UnitOfWork, woken: list[None]):
    """A commit with events wakes the relay once; one without, and a replay, do not."""

    async def run(work: Callable[[Transaction], pb.AddResponse]) -> None:
        with call("k", answers=unit.answers):
            await unit.run(work)

    await run(adding("one"))
    await run(adding("two"))
    assert len(woken) == 1
    await unit.run(lambda _: pb.AddResponse())
    assert len(woken) == 1


async def test_second_unit_of_a_call_is_refused(database: Database, unit: UnitOfWork):
    """A call with a key runs one unit: another would find the first one's answer."""
    with call("k", answers=unit.answers):
        await unit.run(adding("one"))
        with pytest.raises(RuntimeError, match="one unit of work"):
            await unit.run(adding("two"))
    assert await database.read(names) == ["one"]


async def test_call_without_key_stores_no_answer(database: Database, unit: UnitOfWork):
    """Without a key every call has its effect, and no answer is kept."""
    for name in ("one", "two"):
        with call():
            await unit.run(adding(name))
    assert await database.read(lambda c: c.scalar(sa.select(COUNTER.c.value))) == 2
    answers = sa.select(sa.func.count()).select_from(PLATFORM.idempotency_answer)
    assert await database.read(lambda c: c.scalar(answers)) == 0


async def test_unit_that_outlives_its_caller_counts(database: Database, unit: UnitOfWork, woken: list[None], kind: str):
    """A caller cancelled while its unit runs: the unit commits, the relay is woken, a repeat gets the answer."""
    if kind != "sqlite":
        pytest.skip("units of one key run beside each other there; that one has its effect is another test")
    started, free = threading.Event(), threading.Event()

    def work(tx: Transaction) -> pb.AddResponse:
        started.set()
        assert free.wait(10)
        return add(tx, "one")

    with call("k", answers=unit.answers) as first:
        running = asyncio.create_task(unit.run(work))
    assert await asyncio.to_thread(started.wait, 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    free.set()
    with call("k", answers=unit.answers):
        assert await unit.run(adding("two")) == pb.AddResponse(value=1)
    assert running.cancelled()
    assert await database.read(names) == ["one"]
    assert len(woken) == 1
    assert first.idempotency is not None
    assert first.idempotency.answer == pb.AddResponse(value=1).SerializeToString()
