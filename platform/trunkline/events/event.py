"""An event on its way to its effect, and what its handler is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from trunk.event.v1 import envelope_pb2

from trunkline.events.shard import Entry
from trunkline.events.topics import topic_of
from trunkline.events.unreadable import UNDECODABLE, UNKNOWN_TYPE, known_fingerprint
from trunkline.storage import Transaction

APPLY_FAILED = "APPLY_FAILED"
"""Applying the event failed as often as is tried."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event, as a handler sees it."""

    envelope: envelope_pb2.Envelope
    """Who published it, when, about what, and its place among the events of its key."""
    message: Any
    """The payload: a message of the type the handler stands for."""


class ConsumerTransaction(Transaction):
    """The transaction of an event's effect: position, inbox row, effect and what it publishes commit together."""


Handler = Callable[[ConsumerTransaction, Event], None]
"""Has the effect of an event. A plain function that awaits nothing and can be repeated: what it does is undone if it
raises, or if another event of its batch does."""
Handlers = Mapping[type[Message], Handler]
"""Message type → its handler."""


@dataclass(frozen=True, slots=True)
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
    attempts: int = 0
    """Times it was tried before."""

    @property
    def key(self) -> tuple[str, str]:
        """Topic and key, among whose events order is kept."""
        assert self.envelope is not None
        return self.topic, self.envelope.key

    @property
    def number(self) -> int:
        """Its number there."""
        assert self.envelope is not None
        return self.envelope.number

    @property
    def named(self) -> dict[str, object]:
        """What logs call it; what cannot be read, with its type's contract on either side."""
        envelope = self.envelope
        if envelope is None:
            return {"topic": self.topic, "entry": str(self.entry.id) if self.entry is not None else ""}
        named: dict[str, object] = {"topic": self.topic, "key": envelope.key, "number": envelope.number}
        named["type"] = envelope.type
        if self.refusal:
            named |= {"fingerprint": envelope.fingerprint, "known_fingerprint": known_fingerprint(envelope.type)}
        return named


class Decoder:
    """Makes arrivals of bytes."""

    def __init__(self, handlers: Handlers) -> None:
        self._known = {message.DESCRIPTOR.full_name: (message, handler) for message, handler in handlers.items()}
        topics = [topic_of(message) for message in handlers]
        self._publishers = {topic.name: topic.publisher for topic in topics}

    def decode(self, topic: str, data: bytes, *, entry: Entry | None = None, attempts: int = 0) -> Arrival:
        """The arrival of some bytes on a topic."""
        envelope = _envelope(topic, self._publishers.get(topic, ""), data)
        if envelope is None:
            return Arrival(topic, data, None, None, None, UNDECODABLE, entry, attempts)
        if envelope.type not in self._known:
            return Arrival(topic, data, envelope, None, None, UNKNOWN_TYPE, entry, attempts)
        message, handler = self._known[envelope.type]
        try:
            event = Event(envelope, message.FromString(envelope.payload))
        except DecodeError:
            return Arrival(topic, data, envelope, None, None, UNDECODABLE, entry, attempts)
        return Arrival(topic, data, envelope, event, handler, "", entry, attempts)


def _envelope(topic: str, publisher: str, data: bytes) -> envelope_pb2.Envelope | None:
    try:
        envelope = envelope_pb2.Envelope.FromString(data)
    except DecodeError:
        return None
    # Bytes of anything may happen to parse; without these there is nothing to keep order or a tenant by.
    whole = envelope.topic == topic and envelope.tenant_id and envelope.key and envelope.number > 0 and envelope.id
    # No publisher of ours sends another's topic, or an event of one tenant under the key of another.
    own = envelope.source == publisher and f"{envelope.key}/".startswith(f"{envelope.tenant_id}/")
    return envelope if whole and own else None
