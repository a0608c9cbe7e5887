"""The publishing half of the outbox: an event becomes a numbered row, in the transaction of what it tells about."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, NamedTuple

import grpc
import sqlalchemy as sa
from google.protobuf.message import Message
from trunk.event.v1 import envelope_pb2

from trunkline.errors import platform_error
from trunkline.fingerprint import fingerprint
from trunkline.storage.tables import PlatformTables
from trunkline.telemetry.event_traces import ProducerTracer, PublishTrace
from trunkline.telemetry.traces import TRACES, Traces

EVENT_LIMIT_BYTES = 2 * 1024 * 1024
"""Longest event, envelope and all: half of what a message may carry, so that whoever keeps it can answer with it."""


class Appended(NamedTuple):
    """An event that is in the outbox once its transaction is committed."""

    number: int
    """Its number in (topic, key)."""
    trace: PublishTrace | None
    """To be told of the commit; None where it is not traced."""


class Outbox:
    """Appends events of one service. It holds no state but prepared statements."""

    def __init__(
        self,
        tables: PlatformTables,
        source: str,
        *,
        traces: Traces = TRACES,
        limit_bytes: int = EVENT_LIMIT_BYTES,
    ) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._traces = traces
        self._tracers: dict[str, ProducerTracer] = {}
        self._topics: dict[str, envelope_pb2.Topic] = {}
        numbers = tables.outbox_number
        self._insert = sa.insert(tables.outbox)
        self._first = sa.insert(numbers)
        self._next = (
            sa.update(numbers)
            .where(numbers.c.topic == sa.bindparam("_topic"), numbers.c.key == sa.bindparam("_key"))
            .values(number=numbers.c.number + 1)
            .returning(numbers.c.number)
        )

    def append(
        self,
        connection: sa.Connection,
        message: Message,
        *,
        key: str,
        subject: str,
        tenant_id: str,
        now: datetime,
        request_id: str = "",
        traceparent: str = "",
    ) -> Appended:
        """Appends one event. request_id and traceparent are those of the call that causes it.

        Raises:
            ValueError: the message belongs to no topic of this service, or key does not start with the tenant.
            ServiceError: INVALID_ARGUMENT / EVENT_TOO_LARGE.
        """
        topic = self._topic(message)
        if key != tenant_id and not key.startswith(f"{tenant_id}/"):
            raise ValueError(f"the key of an event starts with its tenant: {tenant_id!r}, not {key!r}")
        event_id = str(uuid.uuid4())
        own_traceparent, trace = self._tracer(topic).begin(traceparent, event_id)
        envelope = envelope_pb2.Envelope(
            id=event_id,
            source=self._source,
            type=message.DESCRIPTOR.full_name,
            subject=subject,
            tenant_id=tenant_id,
            topic=topic,
            key=key,
            number=self._number(connection, topic, key),
            request_id=request_id,
            traceparent=own_traceparent,
            call_traceparent=traceparent,
            payload=message.SerializeToString(),
            fingerprint=fingerprint(message.DESCRIPTOR),
        )
        envelope.time.FromDatetime(now)
        row = _row(envelope, now)
        self._require_room(message, len(row["envelope"]))
        connection.execute(self._insert, row)
        return Appended(envelope.number, trace)

    def foresee(self, message: Message) -> None:
        """Lets a change pass if message could be published later, even were it twice as long by then.

        Raises:
            ServiceError: INVALID_ARGUMENT / EVENT_TOO_LARGE.
        """
        self._require_room(message, 2 * message.ByteSize())

    def _require_room(self, message: Message, size: int) -> None:
        if size > self._limit_bytes:
            raise platform_error(
                grpc.StatusCode.INVALID_ARGUMENT,
                "EVENT_TOO_LARGE",
                "what is to be published of it is too large",
                type=message.DESCRIPTOR.full_name,
                bytes=str(size),
                limit_bytes=str(self._limit_bytes),
            )

    def _tracer(self, topic: str) -> ProducerTracer:
        return self._tracers.get(topic) or self._tracers.setdefault(topic, self._traces.producer(topic))

    def _topic(self, message: Message) -> str:
        name = message.DESCRIPTOR.full_name
        topic = self._topics.get(name) or self._topics.setdefault(name, _topic_of(message))
        if topic.publisher != self._source:
            publisher = topic.publisher or "nobody"
            raise ValueError(f"{name} is published by {publisher}, not by {self._source}")
        return topic.name

    def _number(self, connection: sa.Connection, topic: str, key: str) -> int:
        number: int | None = connection.scalar(self._next, {"_topic": topic, "_key": key})
        if number is None:
            number = 1
            connection.execute(self._first, {"topic": topic, "key": key, "number": number})
        return number


def _topic_of(message: Message) -> envelope_pb2.Topic:
    return message.DESCRIPTOR.GetOptions().Extensions[envelope_pb2.topic]


def _row(envelope: envelope_pb2.Envelope, now: datetime) -> dict[str, Any]:
    return {
        "topic": envelope.topic,
        "key": envelope.key,
        "number": envelope.number,
        "tenant_id": envelope.tenant_id,
        "event_id": envelope.id,
        "envelope": envelope.SerializeToString(),
        "create_time": now,
        "confirmed": False,
    }
