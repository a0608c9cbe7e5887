"""Events that a consumer cannot read: why, and what publisher and consumer each take their type for."""

from __future__ import annotations

from google.protobuf import descriptor_pool
from trunk.event.v1 import envelope_pb2

from trunkline.fingerprint import fingerprint

UNDECODABLE = "UNDECODABLE"
"""The bytes are no envelope of this topic, or the payload is not a message of its type."""
UNKNOWN_TYPE = "UNKNOWN_TYPE"
"""No handler knows the payload's type."""
UNKNOWN_VALUE = "UNKNOWN_VALUE"
"""The payload holds a value that its handler needs and does not know, such as a new one of an enum."""
UNREADABLE = (UNDECODABLE, UNKNOWN_TYPE, UNKNOWN_VALUE)
"""Reasons that end with another release of the consumer, not with another attempt."""


class Unreadable(ValueError):
    """Raised by handlers: an event says what this release does not know. It is set aside at once, for a later one.

    Its text is kept and logged: it names what is not known, and holds nothing else of the event.
    """


def known_fingerprint(type_: str) -> str:
    """The fingerprint of a message as this process knows it; empty if it does not."""
    try:
        return fingerprint(descriptor_pool.Default().FindMessageTypeByName(type_))
    except KeyError:
        return ""


def explain(envelope: envelope_pb2.Envelope | None, why: str) -> str:
    """What cannot be read, in one line: the type, and its contract on either side."""
    if envelope is None:
        return "no envelope of this topic"
    theirs = envelope.fingerprint or "unknown"
    ours = known_fingerprint(envelope.type)
    here = f"is {ours} here" if ours else "is not known here"
    return f"{why}: {envelope.type} is {theirs} to its publisher, and {here}"


WHY = {
    UNDECODABLE: "the payload is no message of its type",
    UNKNOWN_TYPE: "no handler has this type",
}
"""What is wrong with events that never reach a handler."""
