"""Traces through events: from the call over the outbox and the stream to the effect, and on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis
from trunk.event.v1 import envelope_pb2
from trunkline.call import InboundCall, serving
from trunkline.events import Event
from trunkline.storage import Database, Transaction, UnitOfWork
from trunkline.telemetry.trace_export import Export
from trunkline.telemetry.traces import TRACES

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    PLATFORM,
    SOURCE,
    Note,
    Reply,
    add,
    consumer,
    envelope,
    keep,
    relay,
    rows,
    running,
    until,
)
from tests.trunkline.telemetry.tracing import REQUEST, SAMPLED, SPAN, UNSAMPLED, ids


class Recorded:
    """The spans of this process."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def spans(self, name: str) -> list[ReadableSpan]:
        """Those of a name that have ended, by their starts."""
        TRACES.flush()
        ended = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return sorted(ended, key=lambda span: span.start_time or 0)


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Where spans go."""
    recorded = Recorded()
    TRACES.use(Export("test", 1.0, recorded.exporter), 1.0)
    yield recorded
    TRACES.close()


async def published(database: Database, directory: Path, trace: str, *texts: str) -> None:
    """One call that publishes a note for each text."""
    unit = UnitOfWork(database, PLATFORM, source=SOURCE, secret_file=directory / "secret")

    def work(tx: Transaction) -> Note:
        for text in texts:
            tx.publish(Note(text=text), key=KEY, subject=f"notes/{text}")
        return Note()

    with serving(InboundCall("/a/B", tenant_id="t", trace=trace)):
        await unit.run(work)


async def sent(database: Database) -> list[envelope_pb2.Envelope]:
    """The envelopes of an outbox."""
    return [envelope_pb2.Envelope.FromString(row["envelope"]) for row in await rows(database, PLATFORM.outbox)]


def linked(span: ReadableSpan) -> list[int]:
    """Spans that a span is linked to."""
    return [link.context.span_id for link in span.links]


async def test_each_effect_of_a_batch_stands_under_its_own_publication(publisher, reader, url, tmp_path, recorded):
    """Three events of one call: three publications under the call, and under each its effect, linked to the call."""
    await published(publisher, tmp_path, SAMPLED, "a", "b", "c")
    sender, receiver = relay(publisher, url), consumer(reader, url)
    async with running(sender, receiver):
        await until(lambda: receiver.counts.applied == 3)

    publications, effects = recorded.spans("publish notes"), recorded.spans("process notes")
    assert [ids(span)[::2] for span in publications] == [(REQUEST, SPAN)] * 3
    assert [ids(span)[2] for span in effects] == [ids(span)[1] for span in publications]
    assert [linked(span) for span in effects] == [[int(SPAN, 16)]] * 3
    envelopes = await sent(publisher)
    assert [one.traceparent.split("-")[2] for one in envelopes] == [ids(span)[1] for span in publications]
    assert {one.call_traceparent for one in envelopes} == {SAMPLED}


async def test_what_is_not_sampled_stays_so(publisher, reader, url, tmp_path, recorded):
    """No span on either side; the header goes on as it came."""
    await published(publisher, tmp_path, UNSAMPLED, "a")
    sender, receiver = relay(publisher, url), consumer(reader, url)
    async with running(sender, receiver):
        await until(lambda: receiver.counts.applied == 1)

    TRACES.flush()
    assert recorded.exporter.get_finished_spans() == ()
    (one,) = await sent(publisher)
    assert (one.traceparent, one.call_traceparent) == (UNSAMPLED, UNSAMPLED)


async def test_what_is_undone_was_not_published(publisher, tmp_path, recorded):
    """A unit that fails after it published leaves no span of an event that does not exist."""
    unit = UnitOfWork(publisher, PLATFORM, source=SOURCE, secret_file=tmp_path / "secret")

    def work(tx: Transaction) -> Note:
        tx.publish(Note(text="a"), key=KEY, subject="notes/a")
        raise ValueError

    with serving(InboundCall("/a/B", tenant_id="t", trace=SAMPLED)), pytest.raises(ValueError):
        await unit.run(work)
    assert recorded.spans("publish notes") == []


async def test_an_effect_that_publishes_is_the_parent_of_that(reader, url, client: Redis, recorded):
    """From event to event: the reply's publication stands under the effect of the note."""

    def reply(tx: Transaction, event: Event) -> None:
        tx.publish(Reply(text=event.message.text), key=KEY, subject="replies/1")

    receiver = consumer(reader, url, {Note: reply})
    note = envelope_pb2.Envelope.FromString(envelope(1))
    note.traceparent = SAMPLED
    await add(client, note.SerializeToString())
    async with running(receiver):
        await until(lambda: receiver.counts.applied == 1)

    (effect,), (publication,) = recorded.spans("process notes"), recorded.spans("publish replies")
    assert ids(publication)[2] == ids(effect)[1]
    (one,) = await sent(reader)
    assert one.source == GROUP
    assert one.call_traceparent.split("-")[2] == ids(effect)[1]


async def test_effects_that_were_undone_with_their_batch_are_not_told(reader, url, client: Redis, recorded):
    """A batch in which one event fails: the others tell of one effect each, and the culprit of its failures."""
    failures = iter([1, 1, 0])

    def picky(tx: Transaction, event: Event) -> None:
        if event.message.text == "n2" and next(failures):
            raise ValueError
        keep(tx, event)  # type: ignore[arg-type]

    for number in (1, 2, 3):
        note = envelope_pb2.Envelope.FromString(envelope(number))
        note.traceparent = SAMPLED
        await add(client, note.SerializeToString())
    receiver = consumer(reader, url, {Note: picky})
    async with running(receiver):
        await until(lambda: receiver.counts.applied == 3)

    ended = recorded.spans("process notes")
    told = [((span.attributes or {})["messaging.message.id"], span.status.is_ok) for span in ended]
    assert sorted(told) == [
        (f"{KEY}#1", True),
        (f"{KEY}#2", False),
        (f"{KEY}#2", False),
        (f"{KEY}#2", True),
        (f"{KEY}#3", True),
    ]
