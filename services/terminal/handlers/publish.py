"""What the terminal service publishes: each event in the transaction of what it tells about."""

from __future__ import annotations

from pos.event.v1 import cash_log_pb2, open_close_log_pb2
from pos.type.v1 import cash_movement_kind_pb2
from trunkline.storage import Transaction

from services.terminal.domain.records import CashMovement, CloseRecord, OpenRecord
from services.wire.dates import to_date, to_timestamp
from services.wire.kinds import to_enum
from services.wire.money import tenant_currency


def publish_movement(tx: Transaction, movement: CashMovement) -> None:
    """Publishes a cash movement on `cashlog`."""
    terminal_id, opening = movement.terminal_id, movement.opening
    log = cash_log_pb2.CashLog(
        store_code=terminal_id.store_code,
        terminal_no=terminal_id.terminal_no,
        movement_no=movement.movement_no,
        kind=to_enum(cash_movement_kind_pb2.CashMovementKind, movement.kind),
        currency_code=tenant_currency(),
        amount_minor_units=movement.amount,
        comment=movement.comment,
        is_initial_float=movement.is_initial_float,
        business_date=to_date(opening.business_date),
        open_counter=opening.open_counter,
        business_counter=opening.business_counter,
        staff_id=movement.staff.staff_id,
        staff_name=movement.staff.name,
        create_time=to_timestamp(movement.create_time),
    )
    tx.publish(log, key=terminal_id.key, subject=terminal_id.cash_movement_subject(movement.movement_no))


def publish_open(tx: Transaction, record: OpenRecord) -> None:
    """Publishes an opening on `opencloselog`."""
    log = _log(open_close_log_pb2.OpenCloseLog.KIND_OPEN, record)
    if record.initial_float is not None:
        log.currency_code = tenant_currency()
        log.initial_float_minor_units = record.initial_float
    _publish(tx, log, record)


def publish_close(tx: Transaction, record: CloseRecord) -> None:
    """Publishes a close on `opencloselog`, with what the opening has published."""
    log = _log(open_close_log_pb2.OpenCloseLog.KIND_CLOSE, record)
    log.currency_code = tenant_currency()
    log.transaction_count = record.transaction_count
    log.last_transaction_no = record.last_transaction_no
    log.cash_movement_count = record.cash_movement_count
    if record.last_cash_movement_time is not None:
        log.last_cash_movement_time.CopyFrom(to_timestamp(record.last_cash_movement_time))
    log.counted_cash_minor_units = record.counted_cash
    _publish(tx, log, record)


def _log(
    kind: open_close_log_pb2.OpenCloseLog.Kind.ValueType, record: OpenRecord | CloseRecord
) -> open_close_log_pb2.OpenCloseLog:
    return open_close_log_pb2.OpenCloseLog(
        kind=kind,
        store_code=record.terminal_id.store_code,
        terminal_no=record.terminal_id.terminal_no,
        business_date=to_date(record.opening.business_date),
        open_counter=record.opening.open_counter,
        business_counter=record.opening.business_counter,
        staff_id=record.staff.staff_id,
        staff_name=record.staff.name,
        create_time=to_timestamp(record.create_time),
    )


def _publish(tx: Transaction, log: open_close_log_pb2.OpenCloseLog, record: OpenRecord | CloseRecord) -> None:
    terminal_id = record.terminal_id
    tx.publish(log, key=terminal_id.key, subject=terminal_id.opening_subject(record.opening.business_counter))
