"""What TerminalService refuses, through its whole chain."""

from __future__ import annotations

import pytest
from pos.terminal.v1 import terminal_service_pb2 as pb
from pos.terminal.v1 import terminal_service_pb2_grpc as pb_grpc
from pos.terminal.v1.terminal_pb2 import Terminal
from pos.type.v1.cash_movement_kind_pb2 import CASH_MOVEMENT_KIND_CASH_IN
from pos.type.v1.date_pb2 import Date
from pos.type.v1.money_pb2 import Money
from trunkline.call import acting_for

from tests.services.callers import admin, refusal, send, service, till
from tests.services.published import envelopes
from tests.services.terminal.conftest import DAY, PIN, bring, furnish, hire, yen

USD = Money(currency_code="USD", minor_units=1)
WHO = {"terminal": "acme/0001/1"}
PAST = Date(year=2026, month=2, day=28)
SIGN_IN = pb.SignInRequest(staff_id="s1", pin=PIN)
SIGN_OUT = pb.SignOutRequest()
OPEN = pb.OpenTerminalRequest(business_date=DAY)
CLOSE = pb.CloseTerminalRequest(counted_cash=yen(1))
CASH_IN = pb.RecordCashMovementRequest(kind=CASH_MOVEMENT_KIND_CASH_IN, amount=yen(1))

STATE = "FAILED_PRECONDITION"
NOBODY = (STATE, "pos.terminal/STAFF_NOT_SIGNED_IN", WHO)
SOMEBODY = (STATE, "pos.terminal/ALREADY_SIGNED_IN", {**WHO, "staff_id": "s1"})
DOLLARS = ("INVALID_ARGUMENT", "pos.type/CURRENCY_MISMATCH", {"currency_code": "USD", "expected": "JPY"})
NO_SUCH_DAY = ("INVALID_ARGUMENT", "pos.type/DATE_INVALID", {"date": "2026-02-30"})


def not_open(state: str):
    """Refused because the terminal is in this state."""
    return STATE, "pos.terminal/TERMINAL_NOT_OPEN", {**WHO, "state": state}


def mode(name: str, state: str):
    """Setting a mode, and its refusal in this state."""
    request = pb.SetFunctionModeRequest(function_mode=Terminal.FunctionMode.Value(f"FUNCTION_MODE_{name}"))
    return request, (STATE, "pos.terminal/FUNCTION_MODE_REFUSED", {**WHO, "state": state, "function_mode": name})


@pytest.mark.parametrize(
    ("state", "request_", "expected"),
    [
        ("signed in", SIGN_IN, SOMEBODY),
        (
            "idle",
            pb.SignInRequest(staff_id="s1", pin="0000"),
            ("PERMISSION_DENIED", "pos.terminal/PIN_REFUSED", {"staff_id": "s1"}),
        ),
        (
            "idle",
            pb.SignInRequest(staff_id="none", pin=PIN),
            ("PERMISSION_DENIED", "pos.terminal/PIN_REFUSED", {"staff_id": "none"}),
        ),
        ("idle", SIGN_OUT, NOBODY),
        ("idle", OPEN, NOBODY),
        ("opened", OPEN, (STATE, "pos.terminal/TERMINAL_OPENED", {**WHO, "business_date": "2026-03-01"})),
        (
            "closed",
            pb.OpenTerminalRequest(business_date=PAST),
            (
                STATE,
                "pos.terminal/BUSINESS_DATE_PAST",
                {"business_date": "2026-02-28", "last_business_date": "2026-03-01"},
            ),
        ),
        ("signed in", pb.OpenTerminalRequest(business_date=Date(year=2026, month=2, day=30)), NO_SUCH_DAY),
        ("signed in", pb.OpenTerminalRequest(business_date=DAY, initial_float=USD), DOLLARS),
        ("idle", CLOSE, NOBODY),
        ("signed in", CLOSE, not_open("IDLE")),
        ("opened, signed out", CLOSE, NOBODY),
        ("closed", CLOSE, not_open("CLOSED")),
        ("opened", pb.CloseTerminalRequest(counted_cash=USD), DOLLARS),
        ("idle", CASH_IN, NOBODY),
        ("signed in", CASH_IN, not_open("IDLE")),
        ("opened, signed out", CASH_IN, NOBODY),
        ("closed", CASH_IN, not_open("CLOSED")),
        ("opened", pb.RecordCashMovementRequest(kind=CASH_IN.kind, amount=USD), DOLLARS),
        *(("signed in", *mode(name, "IDLE")) for name in ("SALES", "RETURNS", "VOID", "CASH_IN_OUT", "CLOSE")),
        ("opened", *mode("OPEN", "OPENED")),
        ("closed", *mode("SALES", "CLOSED")),
    ],
)
async def test_refuses_and_changes_nothing(office, terminal, node, cart, state, request_, expected):
    """A refusal has its status, reason and metadata; nothing is changed, published or sealed."""
    await bring(terminal, state)
    look = pb.GetTerminalRequest(store_code="0001", terminal_no=1)
    before = await office.GetTerminal(look), await envelopes(node), len(cart.requests)
    assert await refusal(send(terminal, request_)) == expected
    assert (await office.GetTerminal(look), await envelopes(node), len(cart.requests)) == before


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            pb.CreateTerminalRequest(store_code="0001", terminal_no=1),
            ("ALREADY_EXISTS", "pos.terminal/TERMINAL_EXISTS", {"store_code": "0001", "terminal_no": "1"}),
        ),
        (
            pb.CreateTerminalRequest(store_code="none", terminal_no=1),
            ("NOT_FOUND", "pos.terminal/STORE_NOT_FOUND", {"store_code": "none"}),
        ),
        (
            pb.GetTerminalRequest(store_code="0001", terminal_no=2),
            ("NOT_FOUND", "pos.terminal/TERMINAL_NOT_FOUND", {"store_code": "0001", "terminal_no": "2"}),
        ),
        (pb.ListTerminalsRequest(page_token="eA=="), ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {})),
        (
            pb.ListOpeningsRequest(store_code="0001", business_date=Date(year=2026, month=2, day=30)),
            NO_SUCH_DAY,
        ),
    ],
)
async def test_refuses_the_back_office(office, request_, expected):
    """Calls that name a terminal or a store are refused with what they named."""
    assert await refusal(send(office, request_)) == expected


async def test_refuses_a_second_person(terminal, system):
    """Who is not active is refused after the right PIN, and anybody while another is signed in."""
    await hire(system, "acme", "s2", "Baba")
    await hire(system, "acme", "s3", "Chiba", active=False)
    inactive = (STATE, "pos.terminal/STAFF_INACTIVE", {"staff_id": "s3"})
    assert await refusal(terminal.SignIn(pb.SignInRequest(staff_id="s3", pin=PIN))) == inactive
    await terminal.SignIn(SIGN_IN)
    assert await refusal(terminal.SignIn(pb.SignInRequest(staff_id="s2", pin=PIN))) == SOMEBODY


@pytest.mark.parametrize(
    "request_",
    [SIGN_IN, SIGN_OUT, OPEN, CLOSE, CASH_IN, pb.SetFunctionModeRequest(function_mode=Terminal.FUNCTION_MODE_OPEN)],
)
async def test_a_till_that_was_not_created(office, system, request_):
    """The token of a terminal that was never created opens nothing."""
    stranger = pb_grpc.TerminalServiceStub(till(system, terminal_no=9).channel("terminal"))
    missing = ("NOT_FOUND", "pos.terminal/TERMINAL_NOT_FOUND", {"store_code": "0001", "terminal_no": "9"})
    assert await refusal(send(stranger, request_)) == missing


async def test_open_needs_the_store_for_its_day(office, system):
    """A terminal whose store is unknown cannot be opened without a business date."""
    stranger = pb_grpc.TerminalServiceStub(till(system, store_code="none").channel("terminal"))
    missing = ("NOT_FOUND", "pos.terminal/STORE_NOT_FOUND", {"store_code": "none"})
    assert await refusal(stranger.OpenTerminal(pb.OpenTerminalRequest())) == missing


@pytest.mark.parametrize(
    "request_",
    [
        pb.GetTerminalRequest(store_code="0002", terminal_no=1),
        pb.ListTerminalsRequest(store_code="0002"),
        pb.ListOpeningsRequest(store_code="0002", business_date=DAY),
    ],
)
async def test_a_till_reads_its_own_store_only(terminal, request_):
    """A terminal that names another store is refused, whether that exists or not."""
    foreign = ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN", {"store_code": "0002"})
    assert await refusal(send(terminal, request_)) == foreign


async def test_everybody_keeps_to_their_own(office, terminal, system):
    """The back office does not act on a terminal; a terminal creates none; a service needs a caller for either."""
    denied = ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")
    assert (await refusal(office.SignIn(SIGN_IN)))[:2] == denied
    create = pb.CreateTerminalRequest(store_code="0001", terminal_no=2)
    assert (await refusal(terminal.CreateTerminal(create)))[:2] == denied
    other = pb_grpc.TerminalServiceStub(service(system).channel("terminal"))
    with acting_for("acme"):
        assert (await refusal(other.SignOut(SIGN_OUT)))[:2] == denied
        assert (await other.GetTerminal(pb.GetTerminalRequest(store_code="0001", terminal_no=1))).terminal.terminal_no


async def test_tenants_do_not_see_each_other(office, terminal, system):
    """A terminal of another tenant looks like none, even to one of the same store and number."""
    await bring(terminal, "opened")
    await furnish(system, "zeta")
    look = pb.GetTerminalRequest(store_code="0001", terminal_no=1)
    openings = pb.ListOpeningsRequest(store_code="0001", business_date=DAY)
    missing = ("NOT_FOUND", "pos.terminal/TERMINAL_NOT_FOUND", {"store_code": "0001", "terminal_no": "1"})
    theirs = pb_grpc.TerminalServiceStub(till(system, tenant_id="zeta").channel("terminal"))
    their_office = pb_grpc.TerminalServiceStub(admin(system, "zeta").channel("terminal"))
    for request_ in (look, SIGN_IN, SIGN_OUT, OPEN, CLOSE, CASH_IN):
        assert await refusal(send(theirs, request_)) == missing
    for stub in (theirs, their_office):
        assert not (await stub.ListTerminals(pb.ListTerminalsRequest())).terminals
        assert not (await stub.ListOpenings(openings)).openings
    await their_office.CreateTerminal(pb.CreateTerminalRequest(store_code="0001", terminal_no=1))
    assert (await their_office.GetTerminal(look)).terminal.state == Terminal.STATE_IDLE
    assert (await office.GetTerminal(look)).terminal.state == Terminal.STATE_OPENED
