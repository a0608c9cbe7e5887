"""An event on its way to its effect, and what its handler is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import DecodeError, Message
from trunk.event.v1 import envelope_pb2

from trunkline.call import InboundCall
from trunkline.events.shard import Entry
from trunkline.events.topics import topic_of
from trunkline.events.unreadable import UNDECODABLE, UNKNOWN_TYPE, known_fingerprint
from trunkline.storage import Outbox, Transaction
from trunkline.storage.bulk import PendingRows

APPLY_FAILED = "APPLY_FAILED"
"""Applying the event failed as often as is tried."""


@dataclass(slots=True)
class Event:
    """An event, as a handler sees it."""

    envelope: envelope_pb2.Envelope
    """Who published it, when, about what, and its place among the events of its key."""
    message: Any
    """The payload: a message of the type the handler stands for."""


class ConsumerTransaction(Transaction):
    """The transaction of an event's effect: position, inbox row, effect and what it publishes commit together."""

    def __init__(
        self, rows: PendingRows, connection: sa.Connection, outbox: Outbox, now: datetime, call: InboundCall | None
    ) -> None:
        super().__init__(connection, outbox, now, call)
        self._rows = rows

    @property
    def connection(self) -> sa.Connection:
        """Connection of the transaction; work neither commits nor rolls back. It sees all rows that were added."""
        self._rows.flush()
        return self._connection

    def add(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """Adds a row to a table, together with those of other events of the batch: several times as fast as alone.

        A row that cannot be added has its event set aside like any failure; it just shows later.
        """
        self._rows.add(table, row)


Handler = Callable[[ConsumerTransaction, Event], None]
"""Has the effect of an event. A plain function that awaits nothing and can be repeated: what it does is undone if it
raises, or if another event of its batch does."""
Handlers = Mapping[type[Message], Handler]
"""Message type → its handler."""


@dataclass(slots=True)
class Arrival:
    """An event that was read, from a stream or from where it was parked."""

    topic: str
    """Topic it came on."""
    data: bytes
    """The envelope's bytes, as they came."""
    envelope: envelope_pb2.Envelope | None
    """None if the bytes are no envelope."""
    event: Event | None
    """None if there is nothing to hand to a handler."""
    handler: Handler | None
    """None likewise."""
    refusal: str
    """Why there is nothing; empty otherwise."""
    entry: Entry | None
    """Where it was read from; None if it was parked."""
    attempts: int
    """Times it was tried before."""
    # Both stand in the envelope too, but are asked for again and again, and a field of a message is slow.
    key: tuple[str, str]
    """Topic and key, among whose events order is kept; without a key where the bytes are no envelope."""
    number: int
    """Its number there; 0 likewise."""

    @property
    def named(self) -> dict[str, object]:
        """What logs call it; what cannot be read, with its type's contract on either side."""
        envelope = self.envelope
        if envelope is None:
            # As the letter's own `entry` is written: shard, and id in its stream.
            entry = self.entry
            at = f"{entry.shard.number}:{entry.id.decode()}" if entry is not None else ""
            return {"topic": self.topic, "entry": at}
        named: dict[str, object] = {"topic": self.topic, "key": envelope.key, "number": envelope.number}
        named["type"] = envelope.type
        if self.refusal:
            named |= {"fingerprint": envelope.fingerprint, "known_fingerprint": known_fingerprint(envelope.type)}
        return named


class Decoder:
    """Makes arrivals of bytes."""

    def __init__(self, handlers: Handlers) -> None:
        self._known = {
            message.DESCRIPTOR.full_name: (message.FromString, handler) for message, handler in handlers.items()
        }
        topics = [topic_of(message) for message in handlers]
        self._publishers = {topic.name: topic.publisher for topic in topics}

    def decode(self, topic: str, data: bytes, *, entry: Entry | None = None, attempts: int = 0) -> Arrival:
        """The arrival of some bytes on a topic."""
        try:
            envelope = envelope_pb2.Envelope.FromString(data)
        except DecodeError:
            return _nothing(topic, data, entry, attempts)
        key, number = envelope.key, envelope.number
        if not _is_sound(envelope, topic, key, number, self._publishers.get(topic, "")):
            return _nothing(topic, data, entry, attempts)
        at = (topic, key)
        known = self._known.get(envelope.type)
        if known is None:
            return Arrival(topic, data, envelope, None, None, UNKNOWN_TYPE, entry, attempts, at, number)
        from_string, handler = known
        try:
            event = Event(envelope, from_string(envelope.payload))
        except DecodeError:
            return Arrival(topic, data, envelope, None, None, UNDECODABLE, entry, attempts, at, number)
        return Arrival(topic, data, envelope, event, handler, "", entry, attempts, at, number)


def _nothing(topic: str, data: bytes, entry: Entry | None, attempts: int) -> Arrival:
    return Arrival(topic, data, None, None, None, UNDECODABLE, entry, attempts, (topic, ""), 0)


def _is_sound(envelope: envelope_pb2.Envelope, topic: str, key: str, number: int, publisher: str) -> bool:
    # Bytes of anything may happen to parse; without these there is nothing to keep order or a tenant by.
    tenant_id = envelope.tenant_id
    if not (tenant_id and key and number > 0 and envelope.id and envelope.topic == topic):
        return False
    # No publisher of ours sends another's topic, or an event of one tenant under the key of another.
    return envelope.source == publisher and (key.startswith(tenant_id + "/") or key == tenant_id)
