"""The publishing half of the outbox: an event becomes a numbered row, in the transaction of what it tells about."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from trunk.event.v1 import envelope_pb2

from trunkline.storage.tables import PlatformTables


class Outbox:
    """Appends events of one service. It holds no state but prepared statements."""

    def __init__(self, tables: PlatformTables, source: str) -> None:
        self._source = source
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
    ) -> int:
        """Appends one event and gives its number in (topic, key).

        Raises:
            ValueError: the message belongs to no topic of this service, or key does not start with the tenant.
        """
        topic = self._topic(message)
        if key != tenant_id and not key.startswith(f"{tenant_id}/"):
            raise ValueError(f"the key of an event starts with its tenant: {tenant_id!r}, not {key!r}")
        envelope = envelope_pb2.Envelope(
            id=str(uuid.uuid4()),
            source=self._source,
            type=message.DESCRIPTOR.full_name,
            subject=subject,
            tenant_id=tenant_id,
            topic=topic,
            key=key,
            number=self._number(connection, topic, key),
            request_id=request_id,
            traceparent=traceparent,
            payload=message.SerializeToString(),
        )
        envelope.time.FromDatetime(now)
        connection.execute(self._insert, _row(envelope, now))
        return envelope.number

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
