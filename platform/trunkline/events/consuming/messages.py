"""What a group has done and set aside, between its rows and the messages of trunk.event.v1.ConsumerService."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from google.protobuf.message import DecodeError
from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import envelope_pb2
from trunk.event.v1.error_reason_pb2 import ErrorReason

from trunkline.events.consuming.rows import Delivery, GroupFigures, LetterQuery, State
from trunkline.events.instants import given, stamp

REASON_PREFIX = "ERROR_REASON_"
"""What rows leave out of reasons."""
STATES = {
    State.WAITING: pb.DELIVERY_STATE_WAITING,
    State.DELIVERED: pb.DELIVERY_STATE_DELIVERED,
    State.PARKED: pb.DELIVERY_STATE_PARKED,
    State.DEAD: pb.DELIVERY_STATE_DEAD,
}
"""What became of an event, on the wire."""


def letter_query(filter_: pb.DeadLetterFilter, tenant_id: str, **more: Any) -> LetterQuery:
    """Which letters a request means; tenant_id: the only one it may see, empty: all."""
    return LetterQuery(
        filter_.topic,
        filter_.key,
        _reason_name(filter_.reason),
        tenant_id or filter_.tenant_id,
        given(filter_, "from_time"),
        given(filter_, "to_time"),
        **more,
    )


def to_topic_state(topic: str, figures: GroupFigures, owners: list[str]) -> pb.ConsumerTopicState:
    """How far a group has come in a topic."""
    return pb.ConsumerTopicState(
        topic=topic,
        settled=int(figures.settled),
        keys=figures.keys,
        parked=figures.parked,
        open_holes=figures.open_holes,
        open_dead_letters=figures.open_letters,
        oldest_parked_time=stamp(figures.oldest_parked_time),
        last_apply_time=stamp(figures.last_apply_time),
        owners=owners,
    )


def to_delivery(delivery: Delivery) -> pb.GetDeliveryStateResponse:
    """What became of an event."""
    return pb.GetDeliveryStateResponse(
        state=STATES[delivery.state],
        attempts=delivery.attempts,
        reason=_reason(delivery.reason),
        error=delivery.error,
        retry_time=stamp(delivery.retry_time),
        dead_letter_id=delivery.letter_id,
    )


def to_letter(row: sa.Row[Any], *, whole: bool = False) -> pb.DeadLetter:
    """A dead letter; whole: with its bytes."""
    return pb.DeadLetter(
        id=row.id,
        topic=row.topic,
        key=row.key or "",
        number=row.number or 0,
        tenant_id=row.tenant_id or "",
        event_id=row.event_id or "",
        reason=_reason(row.reason),
        error=row.error,
        attempts=row.attempts,
        first_time=stamp(row.first_time),
        last_time=stamp(row.last_time),
        closed_time=stamp(row.closed_time),
        consumer_version=row.consumer_version or "",
        traceparent=row.traceparent or "",
        type=_type(row.envelope) if row.key is not None else "",
        entry=f"{row.shard}:{row.stream_id}" if row.stream_id is not None else "",
        envelope=row.envelope if whole else b"",
    )


def to_parked(row: sa.Row[Any]) -> pb.ParkedEvent:
    """A parked event."""
    return pb.ParkedEvent(
        topic=row.topic,
        key=row.key,
        number=row.number,
        tenant_id=row.tenant_id,
        event_id=row.event_id,
        park_time=stamp(row.park_time),
        attempts=row.attempts,
        error=row.error or "",
        retry_time=stamp(row.retry_time),
        settled=row.settled,
    )


def _reason(name: str) -> ErrorReason.ValueType:
    """A reason on the wire; one of a later release, and none, is unspecified."""
    found: dict[str, ErrorReason.ValueType] = dict(ErrorReason.items())
    return found.get(REASON_PREFIX + name, found[f"{REASON_PREFIX}UNSPECIFIED"])


def _reason_name(number: int) -> str:
    """A reason in rows; empty for unspecified. One that nobody knows stands in no row."""
    known: dict[int, str] = {value: name.removeprefix(REASON_PREFIX) for name, value in ErrorReason.items()}
    return known.get(number, str(number)) if number else ""


def _type(data: bytes) -> str:
    try:
        return envelope_pb2.Envelope.FromString(data).type
    except DecodeError:
        return ""
