"""The day of a terminal."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.failure import DomainFailure, InvalidInput, Refused, WrongState
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.terminal_state import TerminalState
from services.terminal.domain import lifecycle
from services.terminal.domain.lifecycle import SealedOpening
from services.terminal.domain.terminal import CashCount, FunctionMode, Terminal

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
HANAKO, TARO = SignedInStaff("s1", "Hanako"), SignedInStaff("s2", "Taro")
NEW = Terminal(terminal_id=TerminalId("acme", "0001", 1))
IDLE = replace(NEW, staff=HANAKO)
OPENED = lifecycle.open_terminal(IDLE, DAY, None, NOW).terminal
SEALED = SealedOpening(business_counter=1, transaction_count=7, last_transaction_no=7)
CLOSED = lifecycle.close(OPENED, SEALED, 0, LATER).terminal
CASH_IN, CASH_OUT = CashMovementKind.CASH_IN, CashMovementKind.CASH_OUT


def test_one_signs_in_and_out():
    """Whoever signed in is on the terminal until signed out."""
    terminal = lifecycle.sign_in(NEW, HANAKO)
    assert terminal.staff == HANAKO
    assert lifecycle.sign_out(terminal).staff is None


@pytest.mark.parametrize("staff", [HANAKO, TARO])
def test_a_second_sign_in_is_refused(staff):
    """Nobody signs in over somebody, the same one neither."""
    with pytest.raises(Refused) as refusal:
        lifecycle.sign_in(IDLE, staff)
    assert refusal.value.reason == "ALREADY_SIGNED_IN"
    assert refusal.value.metadata == {"terminal": "acme/0001/1", "staff_id": "s1"}


@pytest.mark.parametrize("terminal", [NEW, replace(OPENED, staff=None), replace(CLOSED, staff=None)])
def test_without_staff_nothing_is_done(terminal):
    """Signing out, opening, moving cash and closing need somebody who is signed in."""
    for change in (
        lambda: lifecycle.sign_out(terminal),
        lambda: lifecycle.open_terminal(terminal, DAY, None, NOW),
        lambda: lifecycle.move_cash(terminal, CASH_IN, 1, "", NOW),
        lambda: lifecycle.check_closable(terminal),
        lambda: lifecycle.close(terminal, SEALED, 0, NOW),
    ):
        with pytest.raises(Refused) as refusal:
            change()
        assert (refusal.value.reason, refusal.value.metadata) == ("STAFF_NOT_SIGNED_IN", {"terminal": "acme/0001/1"})


def test_the_first_opening():
    """An opening sets date, counters and mode, and is recorded."""
    opened = lifecycle.open_terminal(IDLE, DAY, None, NOW)
    assert (opened.terminal.state, opened.terminal.function_mode) == (TerminalState.OPENED, FunctionMode.SALES)
    assert opened.terminal.opening == opened.record.opening == Opening(DAY, 1, 1)
    assert (opened.record.staff, opened.record.create_time, opened.record.initial_float) == (HANAKO, NOW, None)
    assert opened.initial_float is None


@pytest.mark.parametrize(
    ("business_date", "opening"), [(DAY, Opening(DAY, 2, 2)), (date(2026, 3, 2), Opening(date(2026, 3, 2), 1, 2))]
)
def test_counters_of_later_openings(business_date, opening):
    """On the same date the opening counts up; on a later one it starts over; the business counter never does."""
    assert lifecycle.open_terminal(CLOSED, business_date, None, LATER).terminal.opening == opening


def test_a_past_date_is_refused():
    """A terminal never opens for a day before the last one."""
    with pytest.raises(Refused) as refusal:
        lifecycle.open_terminal(CLOSED, date(2026, 2, 28), None, LATER)
    assert refusal.value.reason == "BUSINESS_DATE_PAST"
    assert refusal.value.metadata == {"business_date": "2026-02-28", "last_business_date": "2026-03-01"}


def test_an_open_terminal_is_not_opened():
    """Opening while OPENED is refused."""
    with pytest.raises(WrongState) as refusal:
        lifecycle.open_terminal(OPENED, DAY, None, LATER)
    assert refusal.value.reason == "TERMINAL_OPENED"
    assert refusal.value.metadata == {"terminal": "acme/0001/1", "business_date": "2026-03-01"}


@pytest.mark.parametrize("initial_float", [0, 30_000])
def test_the_initial_float_is_a_cash_movement(initial_float):
    """A float, of 0 too, is recorded as the opening's first movement."""
    opened = lifecycle.open_terminal(IDLE, DAY, initial_float, NOW)
    movement = opened.initial_float
    assert movement is not None
    assert (movement.movement_no, movement.kind, movement.amount, movement.is_initial_float) == (
        1, CASH_IN, initial_float, True,
    )  # fmt: skip
    assert (movement.opening, movement.staff) == (Opening(DAY, 1, 1), HANAKO)
    assert opened.record.initial_float == initial_float
    assert opened.terminal.cash_count == CashCount(count=1, last_time=NOW)


@pytest.mark.parametrize(("kind", "amount", "stored"), [(CASH_IN, 500, 500), (CASH_OUT, 500, -500)])
def test_cash_is_stored_signed(kind, amount, stored):
    """Cash out is negative, and numbers go on."""
    terminal = lifecycle.move_cash(OPENED, CASH_IN, 1, "", NOW).terminal
    moved = lifecycle.move_cash(terminal, kind, amount, "change", LATER)
    assert (moved.movement.movement_no, moved.movement.amount, moved.movement.comment) == (2, stored, "change")
    assert not moved.movement.is_initial_float
    assert (moved.terminal.movement_no, moved.terminal.cash_count) == (2, CashCount(count=2, last_time=LATER))


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1])
def test_cash_moves_by_a_positive_amount(amount):
    """Nothing, or less, is no movement; the direction is the kind's."""
    with pytest.raises(InvalidInput) as refusal:
        lifecycle.move_cash(OPENED, CASH_OUT, amount, "", NOW)
    assert refusal.value.reason == "MONEY_INVALID"


@pytest.mark.parametrize("terminal", [IDLE, CLOSED])
def test_a_terminal_that_is_not_open(terminal):
    """Cash moves, and a close happens, on an open terminal only."""
    for change in (
        lambda: lifecycle.move_cash(terminal, CASH_IN, 1, "", NOW),
        lambda: lifecycle.check_closable(terminal),
        lambda: lifecycle.close(terminal, SEALED, 0, NOW),
    ):
        with pytest.raises(WrongState) as refusal:
            change()
        assert refusal.value.reason == "TERMINAL_NOT_OPEN"
        assert refusal.value.metadata == {"terminal": "acme/0001/1", "state": terminal.state.value}


@pytest.mark.parametrize("terminal", [IDLE, OPENED, CLOSED])
@pytest.mark.parametrize("mode", FunctionMode)
def test_modes_follow_the_state(terminal, mode):
    """OPEN needs a terminal that is not OPENED, every other mode one that is."""
    if (mode is FunctionMode.OPEN) != (terminal.state is TerminalState.OPENED):
        assert lifecycle.set_function_mode(terminal, mode).function_mode is mode
        return
    with pytest.raises(WrongState) as refusal:
        lifecycle.set_function_mode(terminal, mode)
    assert refusal.value.reason == "FUNCTION_MODE_REFUSED"
    assert refusal.value.metadata == {
        "terminal": "acme/0001/1", "state": terminal.state.value, "function_mode": mode.value,
    }  # fmt: skip


def test_a_close_tells_what_there_was():
    """The close carries cart's numbers, its own count of cash, and what was counted."""
    terminal = lifecycle.open_terminal(IDLE, DAY, 30_000, NOW).terminal
    terminal = lifecycle.move_cash(terminal, CASH_OUT, 500, "", LATER).terminal
    assert lifecycle.check_closable(terminal) == Opening(DAY, 1, 1)
    closed = lifecycle.close(terminal, SEALED, 29_000, LATER)
    record = closed.record
    assert (record.opening, record.transaction_count, record.last_transaction_no) == (Opening(DAY, 1, 1), 7, 7)
    assert (record.cash_movement_count, record.last_cash_movement_time) == (2, LATER)
    assert (record.counted_cash, record.staff) == (29_000, HANAKO)
    assert (closed.terminal.state, closed.terminal.function_mode) == (TerminalState.CLOSED, FunctionMode.OPEN)
    assert closed.terminal.staff == HANAKO


def test_a_close_without_cash_movements():
    """An opening in which no cash moved says so; those of the opening before do not count."""
    terminal = lifecycle.move_cash(OPENED, CASH_IN, 1, "", NOW).terminal
    terminal = lifecycle.close(terminal, SEALED, 0, NOW).terminal
    terminal = lifecycle.open_terminal(terminal, DAY, None, LATER).terminal
    record = lifecycle.close(terminal, replace(SEALED, business_counter=2), 0, LATER).record
    assert (record.cash_movement_count, record.last_cash_movement_time) == (0, None)
    assert terminal.movement_no == 1


def test_another_opening_than_the_sealed_one_is_not_closed():
    """A close that was overtaken by a whole new opening does not end that one."""
    reopened = lifecycle.open_terminal(CLOSED, DAY, None, LATER).terminal
    with pytest.raises(WrongState) as refusal:
        lifecycle.close(reopened, SEALED, 0, LATER)
    assert refusal.value.reason == "TERMINAL_NOT_OPEN"


def test_counted_cash_is_not_negative():
    """A drawer holds nothing or more."""
    with pytest.raises(InvalidInput):
        lifecycle.close(OPENED, SEALED, -1, LATER)


@given(st.lists(st.tuples(st.sampled_from(["open", "close", "cash"]), st.integers(-1, 2)), max_size=30))
def test_counters_never_go_back(steps):
    """Whatever is asked in whatever order, dates and counters only rise, and movements have no holes."""
    terminal, numbers = IDLE, []
    for step, days in steps:
        before = terminal
        day = (
            DAY + timedelta(days=days)
            if before.opening is None
            else before.opening.business_date + timedelta(days=days)
        )
        try:
            if step == "open":
                terminal = lifecycle.open_terminal(before, day, None, NOW).terminal
            elif step == "close":
                counter = lifecycle.check_closable(before).business_counter
                terminal = lifecycle.close(before, replace(SEALED, business_counter=counter), 0, NOW).terminal
            else:
                moved = lifecycle.move_cash(before, CASH_IN, 1, "", NOW)
                terminal = moved.terminal
                numbers.append(moved.movement.movement_no)
        except DomainFailure:
            continue
        if before.opening is not None and terminal.opening is not None:
            assert before.opening <= terminal.opening
            assert terminal.opening.business_counter - before.opening.business_counter == (step == "open")
    assert numbers == list(range(1, len(numbers) + 1))
