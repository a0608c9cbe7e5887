"""What every log of a terminal tells."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from pos.type.v1 import date_pb2
from trunkline.events.event import Event

from services.journal.domain.entry import Occurrence
from services.journal.storage.entries import Position
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.wire.dates import from_date, from_timestamp


class TerminalLog(Protocol):
    """The fields that all logs have."""

    store_code: str
    terminal_no: int
    open_counter: int
    business_counter: int
    staff_id: str
    staff_name: str
    currency_code: str

    @property
    def business_date(self) -> date_pb2.Date:
        """Trading day."""
        ...

    @property
    def create_time(self) -> Timestamp:
        """When it was committed."""
        ...


def occurrence_of(event: Event) -> Occurrence:
    """Where, when and by whom."""
    log: TerminalLog = event.message
    return Occurrence(
        entry_id=event.envelope.id,
        terminal_id=TerminalId(event.envelope.tenant_id, log.store_code, log.terminal_no),
        opening=Opening(from_date(log.business_date), log.open_counter, log.business_counter),
        create_time=from_timestamp(log.create_time),
        staff=SignedInStaff(log.staff_id, log.staff_name),
        currency_code=log.currency_code,
    )


def position_of(event: Event) -> Position:
    """Its place among the events of its key."""
    return Position(event.envelope.topic, event.envelope.key, event.envelope.number)
