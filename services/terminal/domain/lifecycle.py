"""What can be done to a terminal: functions from a terminal to a new one. A refusal leaves the old one as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.failure import Refused, WrongState
from services.kernel.money import check_amount
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.terminal_state import TerminalState
from services.terminal.domain.records import CashMovement, CloseRecord, OpenRecord
from services.terminal.domain.terminal import CashCount, FunctionMode, Terminal


@dataclass(frozen=True, slots=True)
class Opened:
    """A terminal that has been opened."""

    terminal: Terminal
    """The terminal, OPENED."""
    record: OpenRecord
    """The opening."""
    initial_float: CashMovement | None
    """The first cash movement; None if no float was given."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A terminal whose cash has moved."""

    terminal: Terminal
    """The terminal, with the movement counted."""
    movement: CashMovement
    """The movement."""


@dataclass(frozen=True, slots=True)
class SealedOpening:
    """The numbers that cart gave when it sealed an opening; they hold for ever."""

    business_counter: int
    """Which opening."""
    transaction_count: int
    """Transactions of the opening, of all kinds."""
    last_transaction_no: int
    """Number of the last of them; 0 if there was none."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A terminal that has been closed."""

    terminal: Terminal
    """The terminal, CLOSED."""
    record: CloseRecord
    """The closing."""


def sign_in(terminal: Terminal, staff: SignedInStaff) -> Terminal:
    """Signs in a staff member whose PIN was right."""
    check_nobody_signed_in(terminal)
    return replace(terminal, staff=staff)


def check_nobody_signed_in(terminal: Terminal) -> None:
    """Refuses a second sign-in without a sign-out."""
    if terminal.staff is not None:
        raise Refused(
            "ALREADY_SIGNED_IN", "somebody is signed in",
            terminal=terminal.terminal_id.key, staff_id=terminal.staff.staff_id,
        )  # fmt: skip


def sign_out(terminal: Terminal) -> Terminal:
    """Signs out whoever is signed in, whether the terminal is open or not."""
    terminal.signed_in()
    return replace(terminal, staff=None)


def set_function_mode(terminal: Terminal, mode: FunctionMode) -> Terminal:
    """Sets what the terminal is used for; OPEN and all other modes exclude each other by state."""
    if (mode is FunctionMode.OPEN) == (terminal.state is TerminalState.OPENED):
        raise WrongState(
            "FUNCTION_MODE_REFUSED", "the terminal's state does not allow the mode",
            terminal=terminal.terminal_id.key, state=terminal.state, function_mode=mode,
        )  # fmt: skip
    return replace(terminal, function_mode=mode)


def open_terminal(terminal: Terminal, business_date: date, initial_float: int | None, now: datetime) -> Opened:
    """Opens the terminal for a trading day; business_date is the one given, or today in the store's time zone."""
    staff = terminal.signed_in()
    if terminal.state is TerminalState.OPENED and terminal.opening is not None:
        raise WrongState(
            "TERMINAL_OPENED", "the terminal is open already",
            terminal=terminal.terminal_id.key, business_date=terminal.opening.business_date,
        )  # fmt: skip
    opened = replace(
        terminal,
        state=TerminalState.OPENED,
        function_mode=FunctionMode.SALES,
        opening=_next_opening(terminal.opening, business_date),
        cash_count=CashCount(),
    )
    record = OpenRecord(
        terminal_id=terminal.terminal_id, opening=opened.opened(), staff=staff, initial_float=initial_float,
        create_time=now,
    )  # fmt: skip
    if initial_float is None:
        return Opened(opened, record, None)
    check_amount(initial_float, "initial_float")
    moved = _move(opened, CashMovementKind.CASH_IN, initial_float, "", now, is_initial_float=True)
    return Opened(moved.terminal, record, moved.movement)


def move_cash(terminal: Terminal, kind: CashMovementKind, amount: int, comment: str, now: datetime) -> Moved:
    """Records cash put in or taken out; amount is more than 0 whichever way."""
    terminal.signed_in()
    terminal.opened()
    check_amount(amount, "amount", minimum=1)
    return _move(terminal, kind, amount, comment, now, is_initial_float=False)


def check_closable(terminal: Terminal) -> Opening:
    """The opening to have sealed before a close, or a refusal if the terminal cannot be closed."""
    terminal.signed_in()
    return terminal.opened()


def close(terminal: Terminal, sealed: SealedOpening, counted_cash: int, now: datetime) -> Closed:
    """Closes the opening that was sealed."""
    staff = terminal.signed_in()
    opening = terminal.opened()
    if opening.business_counter != sealed.business_counter:
        # Meanwhile the sealed opening was closed and another began: that one is not what was asked for.
        raise WrongState(
            "TERMINAL_NOT_OPEN", "the sealed opening is over",
            terminal=terminal.terminal_id.key, state=TerminalState.CLOSED,
        )  # fmt: skip
    record = CloseRecord(
        terminal_id=terminal.terminal_id,
        opening=opening,
        staff=staff,
        transaction_count=sealed.transaction_count,
        last_transaction_no=sealed.last_transaction_no,
        cash_movement_count=terminal.cash_count.count,
        last_cash_movement_time=terminal.cash_count.last_time,
        counted_cash=check_amount(counted_cash, "counted_cash"),
        create_time=now,
    )
    return Closed(replace(terminal, state=TerminalState.CLOSED, function_mode=FunctionMode.OPEN), record)


def _next_opening(last: Opening | None, business_date: date) -> Opening:
    if last is None:
        return Opening(business_date, 1, 1)
    if business_date < last.business_date:
        raise Refused(
            "BUSINESS_DATE_PAST", "the business date is before the last one",
            business_date=business_date, last_business_date=last.business_date,
        )  # fmt: skip
    open_counter = last.open_counter + 1 if business_date == last.business_date else 1
    return Opening(business_date, open_counter, last.business_counter + 1)


def _move(
    terminal: Terminal, kind: CashMovementKind, amount: int, comment: str, now: datetime, *, is_initial_float: bool
) -> Moved:
    movement = CashMovement(
        terminal_id=terminal.terminal_id,
        movement_no=terminal.movement_no + 1,
        kind=kind,
        amount=kind.sign * amount,
        comment=comment,
        is_initial_float=is_initial_float,
        opening=terminal.opened(),
        staff=terminal.signed_in(),
        create_time=now,
    )
    counted = CashCount(count=terminal.cash_count.count + 1, last_time=now)
    return Moved(replace(terminal, movement_no=movement.movement_no, cash_count=counted), movement)
