"""What the proof of the event path deals in: marks, which a maker commits and two groups keep, some unwillingly."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from trunk.event.v1 import envelope_pb2
from trunkline.events import ConsumerTransaction, Event
from trunkline.events.topics import topic_of
from trunkline.storage import new_metadata, platform_tables

MAKER = "maker"
"""The publisher."""
GROUPS = ("left", "right")
"""Who keeps marks, each in a database of its own."""
TENANT = "t"
FINE, TWICE, NEVER = "fine", "twice", "never"
"""How a mark is taken: at once, at the third attempt, or by nobody."""

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
MADE = sa.Table(
    "made",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("mark", sa.Text, nullable=False),
)
"""The truth: what was committed, in rows that the event path neither writes nor reads."""
KEPT = sa.Table(
    "kept",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("mark", sa.Text, nullable=False),
    sa.Column("latency_s", sa.Float, nullable=False),
)
"""Effects, in their order. It takes a mark twice, so that a second effect shows."""


class Unwilling(Exception):
    """What a mark that is not taken raises."""


def _mark() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="mark.proto", package="events.proof", syntax="proto3")
    file.dependency.append("trunk/event/v1/envelope.proto")
    message = file.message_type.add(name="Mark")
    message.field.add(name="mark", number=1, type=9, label=1)
    message.field.add(name="made", number=2, type=1, label=1)
    message.options.Extensions[envelope_pb2.topic].CopyFrom(
        envelope_pb2.Topic(name="marks", publisher=MAKER, groups=GROUPS)
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("events.proof.Mark"))


Mark = _mark()
TOPIC = topic_of(Mark)


def keeper(attempts: Path) -> Callable[[ConsumerTransaction, Event], None]:
    """The handler of a group; attempts is a folder in which it notes them, whatever becomes of its transaction."""

    def keep(transaction: ConsumerTransaction, event: Event) -> None:
        how, _, id_ = event.message.mark.partition(":")
        if how != FINE and (_tried(attempts / id_) <= 2 or how == NEVER):
            raise Unwilling(event.message.mark)
        row = {
            "key": event.envelope.key,
            "number": event.envelope.number,
            "mark": event.message.mark,
            "latency_s": time.time() - event.message.made,
        }
        transaction.connection.execute(sa.insert(KEPT), row)

    return keep


def _tried(file: Path) -> int:
    with file.open("ab") as noted:
        noted.write(b".")
    return file.stat().st_size
