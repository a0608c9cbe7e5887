"""Publisher and consumer of different releases: what one does not know of the other is told, kept, and read later."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from redis.asyncio import Redis
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events import ConsumerTransaction, Event, Unreadable
from trunkline.fingerprint import fingerprint
from trunkline.storage import Database

from tests.trunkline.events.notes import (
    KEY,
    PLATFORM,
    Note,
    Scrap,
    add,
    consumer,
    envelope,
    keep,
    publish,
    relay,
    rows,
    running,
    seen,
    until,
    until_seen,
)

Logs = list[MutableMapping[str, Any]]
KNOWN = fingerprint(Note.DESCRIPTOR)
THEIRS = "0123456789abcdef0123456789abcdef"


def newer(number: int, **changes: Any) -> bytes:
    """An event of a publisher of another release."""
    one = Envelope.FromString(envelope(number))
    one.fingerprint = THEIRS
    for name, value in changes.items():
        setattr(one, name, value)
    return one.SerializeToString()


def picky(tx: ConsumerTransaction, event: Event) -> None:
    """A handler that needs a value it does not know."""
    if event.message.text == "n2":
        raise Unreadable("events.bench.Kind 9 is not known")
    keep(tx, event)


async def letters(database: Database) -> list[dict[str, Any]]:
    """Dead letters."""
    return await rows(database, PLATFORM.dead_letter)


async def test_an_envelope_says_what_its_publisher_means(publisher: Database, reader: Database, url: str):
    """It carries the fingerprint of its payload's contract, as the consumer computes it too."""
    await publish(publisher, "a")
    async with running(relay(publisher, url), consumer(reader, url)):
        await until_seen(reader, [1])
    (row,) = await rows(publisher, PLATFORM.outbox)
    assert Envelope.FromString(row["envelope"]).fingerprint == KNOWN


async def test_an_unknown_type_is_told_with_both_contracts(reader, client: Redis, url, event_logs: Logs):
    """Letter and log say the type, what it is to its publisher, and what it is here: nothing, or something else."""
    await add(client, newer(1, type="pos.event.v9.Unheard"), newer(2, type="events.bench.Scrap"), envelope(3))
    async with running(consumer(reader, url)):
        await until_seen(reader, [3])
    scrap = fingerprint(Scrap.DESCRIPTOR)
    first, second = await letters(reader)
    assert first["reason"] == second["reason"] == "UNKNOWN_TYPE"
    why = "no handler has this type"
    assert first["error"] == f"{why}: pos.event.v9.Unheard is {THEIRS} to its publisher, and is not known here"
    assert second["error"] == f"{why}: events.bench.Scrap is {THEIRS} to its publisher, and is {scrap} here"
    told = [line for line in event_logs if line["event"] == "an event is a dead letter"]
    assert [(line["type"], line["fingerprint"], line["known_fingerprint"]) for line in told] == [
        ("pos.event.v9.Unheard", THEIRS, ""),
        ("events.bench.Scrap", THEIRS, scrap),
    ]


async def test_a_new_field_is_passed_over_and_kept(reader, client: Redis, url):
    """A payload with a field that this release does not have is applied; its bytes are with the handler, whole."""
    payload = Note(text="n1").SerializeToString() + b"\x9a\x06\x05later"  # field 99
    bytes_of: list[bytes] = []

    def keeping(tx: ConsumerTransaction, event: Event) -> None:
        bytes_of.append(event.envelope.payload)
        assert event.message.SerializeToString() == payload
        keep(tx, event)

    await add(client, newer(1, payload=payload))
    async with running(consumer(reader, url, {Note: keeping})):
        await until_seen(reader, [1])
    assert bytes_of == [payload]
    assert await letters(reader) == []


async def test_a_value_that_a_handler_needs_and_does_not_know_sets_its_event_aside(
    reader, client: Redis, url, event_logs: Logs
):
    """At once, since another attempt would end alike: a letter says what is not known, and the key goes on."""
    await add(client, *(newer(number) for number in (1, 2, 3)))
    async with running(consumer(reader, url, {Note: picky})):
        await until_seen(reader, [1, 3])
    (letter,) = await letters(reader)
    assert (letter["reason"], letter["number"], letter["attempts"]) == ("UNKNOWN_VALUE", 2, 1)
    assert letter["envelope"] == newer(2)
    assert letter["error"] == (
        f"events.bench.Kind 9 is not known: events.bench.Note is {THEIRS} to its publisher, and is {KNOWN} here"
    )
    (told,) = [line for line in event_logs if line["event"] == "an event is a dead letter"]
    assert (told["reason"], told["fingerprint"], told["known_fingerprint"]) == ("UNKNOWN_VALUE", THEIRS, KNOWN)


async def test_a_release_that_knows_the_value_applies_what_was_set_aside(reader, client: Redis, url):
    """A process tries it once when it begins: one that cannot leaves it, one that can fills the hole."""
    await add(client, *(newer(number) for number in (1, 2, 3)))
    async with running(consumer(reader, url, {Note: picky})):
        await until_seen(reader, [1, 3])
    async with running(again := consumer(reader, url, {Note: picky})):
        await until(lambda: again.counts.dead == 1)
    assert (await letters(reader))[0]["closed_time"] is None
    async with running(consumer(reader, url)):
        await until_seen(reader, [1, 3, 2])
    (letter,) = await letters(reader)
    (hole,) = await rows(reader, PLATFORM.hole)
    assert letter["closed_time"] is not None
    assert hole["closed_time"] is not None


async def test_letters_that_stay_unread_do_not_hide_others(reader, client: Redis, url):
    """However many letters of an unknown type are older, one that can be read now is found."""
    await add(client, *(newer(number, type="pos.event.v9.Unheard") for number in range(1, 301)))
    await add(client, newer(301, type="events.bench.Scrap"))
    async with running(first := consumer(reader, url)):
        await until(lambda: first.counts.dead == 301)
    async with running(consumer(reader, url, {Note: keep, Scrap: keep})):
        await until_seen(reader, [301])


async def test_events_of_releases_without_fingerprints_are_read(reader, client: Redis, url):
    """An older publisher sends none, and nothing depends on it."""
    assert Envelope.FromString(envelope(1)).fingerprint == ""
    await add(client, envelope(1))
    async with running(consumer(reader, url)):
        await until_seen(reader, [1])
    assert await seen(reader, KEY) == [(1, "n1")]
