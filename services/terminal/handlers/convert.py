"""Terminals, openings and cash movements between the wire and the domain."""

from __future__ import annotations

from pos.terminal.v1 import cash_movement_pb2, opening_pb2, terminal_pb2
from pos.type.v1 import cash_movement_kind_pb2

from services.terminal.domain.records import CashMovement, CloseRecord
from services.terminal.domain.terminal import Terminal
from services.terminal.storage.openings import ListedOpening
from services.wire.dates import to_date, to_timestamp
from services.wire.kinds import to_enum
from services.wire.money import tenant_currency, to_money


def to_terminal(terminal: Terminal) -> terminal_pb2.Terminal:
    """A terminal."""
    message = terminal_pb2.Terminal(
        store_code=terminal.terminal_id.store_code,
        terminal_no=terminal.terminal_no,
        description=terminal.description,
        state=to_enum(terminal_pb2.Terminal.State, terminal.state),
        function_mode=to_enum(terminal_pb2.Terminal.FunctionMode, terminal.function_mode),
    )
    if terminal.opening is not None:
        message.business_date.CopyFrom(to_date(terminal.opening.business_date))
        message.open_counter = terminal.opening.open_counter
        message.business_counter = terminal.opening.business_counter
    if terminal.staff is not None:
        message.staff_id = terminal.staff.staff_id
        message.staff_name = terminal.staff.name
    return message


def to_opening(listed: ListedOpening) -> opening_pb2.Opening:
    """An opening as it stands now."""
    states = opening_pb2.Opening.State
    return opening_pb2.Opening(
        terminal_no=listed.terminal_id.terminal_no,
        business_date=to_date(listed.opening.business_date),
        open_counter=listed.opening.open_counter,
        business_counter=listed.opening.business_counter,
        state=states.STATE_OPENED if listed.close is None else states.STATE_CLOSED,
        closing=None if listed.close is None else to_closing(listed.close),
    )


def to_closing(record: CloseRecord) -> opening_pb2.Closing:
    """The numbers of a close."""
    last_time = record.last_cash_movement_time
    return opening_pb2.Closing(
        transaction_count=record.transaction_count,
        last_transaction_no=record.last_transaction_no,
        cash_movement_count=record.cash_movement_count,
        last_cash_movement_time=None if last_time is None else to_timestamp(last_time),
        counted_cash=to_money(record.counted_cash, tenant_currency()),
        create_time=to_timestamp(record.create_time),
    )


def to_cash_movement(movement: CashMovement) -> cash_movement_pb2.CashMovement:
    """A cash movement."""
    return cash_movement_pb2.CashMovement(
        movement_no=movement.movement_no,
        kind=to_enum(cash_movement_kind_pb2.CashMovementKind, movement.kind),
        amount=to_money(movement.amount, tenant_currency()),
        comment=movement.comment,
        create_time=to_timestamp(movement.create_time),
    )
