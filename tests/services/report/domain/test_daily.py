"""The close check before a daily report."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from services.kernel.failure import Refused
from services.kernel.opening import Opening
from services.report.domain.daily import (
    Gap,
    Missing,
    OpeningId,
    ReceivedOpening,
    Tally,
    check_daily,
    counted_cash,
    missing,
)

DAY = date(2026, 3, 1)
FIRST, SECOND = OpeningId(1, Opening(DAY, 1, 12)), OpeningId(2, Opening(DAY, 1, 40))
TALLY = Tally(
    transaction_count=500,
    last_transaction_no=812,
    cash_movement_count=2,
    last_cash_movement_time=datetime(2026, 3, 1, 12, tzinfo=UTC),
)
WHOLE = ReceivedOpening(TALLY, TALLY, 10_000)
EARLIER = datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_a_whole_day_lacks_nothing():
    """Openings that are closed, and received as their closes counted them, let the report be made."""
    assert missing({FIRST: True, SECOND: True}, {FIRST: WHOLE, SECOND: WHOLE}) == []
    check_daily([])


def test_an_opening_without_transactions_may_be_whole():
    """An opening in which nothing happened is whole when its close says so."""
    assert missing({FIRST: True}, {FIRST: ReceivedOpening(Tally(), Tally(), 0)}) == []


def test_the_close_event_may_overtake_the_terminal():
    """What a received close counted is enough, even if the opening was asked about just before."""
    assert missing({FIRST: False}, {FIRST: WHOLE}) == []
    assert missing({}, {FIRST: WHOLE}) == []


@pytest.mark.parametrize(
    ("known", "received", "gap"),
    [
        ({FIRST: False}, {}, Gap.OPEN),
        ({FIRST: False}, {FIRST: ReceivedOpening(TALLY)}, Gap.OPEN),
        ({}, {FIRST: ReceivedOpening(TALLY)}, Gap.OPEN),
        ({FIRST: True}, {}, Gap.CLOSE),
        ({FIRST: True}, {FIRST: ReceivedOpening(TALLY)}, Gap.CLOSE),
    ],
)
def test_a_close_that_is_not_there(known, received, gap):
    """An opening is either still open, or its close is on the way."""
    assert missing(known, received) == [Missing(FIRST, gap)]


@pytest.mark.parametrize(
    ("received", "gap", "expected", "got"),
    [
        (replace(TALLY, transaction_count=498), Gap.TRANSACTIONS, "500", "498"),
        (replace(TALLY, transaction_count=501), Gap.TRANSACTIONS, "500", "501"),
        (replace(TALLY, last_transaction_no=811), Gap.TRANSACTIONS, "812", "811"),
        (replace(TALLY, transaction_count=499, last_transaction_no=811), Gap.TRANSACTIONS, "500", "499"),
        (replace(TALLY, cash_movement_count=1), Gap.CASH_MOVEMENTS, "2", "1"),
        (replace(TALLY, last_cash_movement_time=EARLIER), Gap.CASH_MOVEMENTS, "2026-03-01 12:00:00+00:00",
         "2026-03-01 08:00:00+00:00"),
        (replace(TALLY, last_cash_movement_time=None), Gap.CASH_MOVEMENTS, "2026-03-01 12:00:00+00:00", "None"),
    ],
)  # fmt: skip
def test_what_differs_from_the_close_is_missing(received, gap, expected, got):
    """Number of transactions, last number, number of cash movements and time of the last must all agree."""
    here = {FIRST: ReceivedOpening(received, TALLY, 0)}
    assert missing({FIRST: True}, here) == [Missing(FIRST, gap, expected, got)]


def test_everything_missing_is_listed_in_order():
    """All gaps of all openings are named, by terminal."""
    here = {SECOND: ReceivedOpening(Tally(), TALLY, 0)}
    gaps = missing({SECOND: True, FIRST: False}, here)
    assert [(gap.opening_id, gap.gap) for gap in gaps] == [
        (FIRST, Gap.OPEN), (SECOND, Gap.TRANSACTIONS), (SECOND, Gap.CASH_MOVEMENTS),
    ]  # fmt: skip


def test_a_terminal_that_is_open_refuses_the_report():
    """The refusal names the terminal and its opening, and its message all that is missing."""
    with pytest.raises(Refused) as refusal:
        check_daily(missing({FIRST: False, SECOND: True}, {}))
    assert refusal.value.reason == "TERMINAL_OPEN"
    assert refusal.value.metadata == {"business_date": "2026-03-01", "terminal_no": "1", "open_counter": "1"}
    assert refusal.value.message == (
        "terminal 1, opening 1: is not closed; terminal 2, opening 1: its close has not been received"
    )


def test_a_terminal_that_is_open_comes_first():
    """Logs arrive by themselves; the terminal that somebody must close is named, whatever else is missing."""
    with pytest.raises(Refused) as refusal:
        check_daily(missing({FIRST: True, SECOND: False}, {}))
    assert refusal.value.reason == "TERMINAL_OPEN"
    assert refusal.value.metadata["terminal_no"] == "2"


@pytest.mark.parametrize(
    ("gap", "metadata"),
    [
        (Missing(SECOND, Gap.CLOSE), {"missing": "close"}),
        (Missing(SECOND, Gap.TRANSACTIONS, "500", "498"),
         {"missing": "transactions", "expected": "500", "received": "498"}),
    ],
)  # fmt: skip
def test_missing_logs_refuse_the_report(gap, metadata):
    """The refusal says what is missing, how much was expected and how much is here."""
    with pytest.raises(Refused) as refusal:
        check_daily([gap])
    assert refusal.value.reason == "LOGS_MISSING"
    assert refusal.value.metadata == {
        "business_date": "2026-03-01", "terminal_no": "2", "open_counter": "1", **metadata,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "total"), [([100, 200], 300), ([0], 0), ([100, None], None), ([None], None), ([], None)]
)
def test_cash_is_counted_when_all_of_it_is(counts, total):
    """One drawer that was not counted leaves the count of all unknown."""
    assert counted_cash(ReceivedOpening(Tally(), None, count) for count in counts) == total
