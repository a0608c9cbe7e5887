"""The day of a terminal, through its whole chain: what changes, what is counted, what is published."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from pos.event.v1.cash_log_pb2 import CashLog
from pos.event.v1.open_close_log_pb2 import OpenCloseLog
from pos.terminal.v1 import terminal_service_pb2 as pb
from pos.terminal.v1 import terminal_service_pb2_grpc as pb_grpc
from pos.terminal.v1.opening_pb2 import Closing, Opening
from pos.terminal.v1.terminal_pb2 import Terminal
from pos.type.v1.cash_movement_kind_pb2 import CASH_MOVEMENT_KIND_CASH_IN, CASH_MOVEMENT_KIND_CASH_OUT
from pos.type.v1.date_pb2 import Date
from trunkline.testing.clock import START

from tests.services.callers import assert_replayed, key, refusal, send, till
from tests.services.published import envelopes, events
from tests.services.terminal.conftest import DAY, PIN, add_store, bring, hire, yen

LOOK = pb.GetTerminalRequest(store_code="0001", terminal_no=1)
OPEN = pb.OpenTerminalRequest(business_date=DAY)
CLOSE = pb.CloseTerminalRequest(counted_cash=yen(30_500))
CASH_IN = pb.RecordCashMovementRequest(kind=CASH_MOVEMENT_KIND_CASH_IN, amount=yen(800), comment="change")
CASH_OUT = pb.RecordCashMovementRequest(kind=CASH_MOVEMENT_KIND_CASH_OUT, amount=yen(300), comment="bank")


def instant(clock) -> Timestamp:
    """The clock's instant as a message."""
    message = Timestamp()
    message.FromDatetime(clock.now())
    return message


def common(clock) -> dict[str, Any]:
    """What all events of the first opening of terminal 1 have in common, made now."""
    return {
        "store_code": "0001",
        "terminal_no": 1,
        "business_date": DAY,
        "open_counter": 1,
        "business_counter": 1,
        "staff_id": "s1",
        "staff_name": "Aoki",
        "create_time": instant(clock),
    }


async def test_a_day(office, terminal, node, cart, clock):
    """From sign-in to close every step shows in the terminal, in its opening, and in what is published."""
    await terminal.SignIn(pb.SignInRequest(staff_id="s1", pin=PIN))
    opened = await terminal.OpenTerminal(pb.OpenTerminalRequest(business_date=DAY, initial_float=yen(30_000)))
    assert opened.terminal == Terminal(
        store_code="0001",
        terminal_no=1,
        description="Door",
        state=Terminal.STATE_OPENED,
        function_mode=Terminal.FUNCTION_MODE_SALES,
        business_date=DAY,
        open_counter=1,
        business_counter=1,
        staff_id="s1",
        staff_name="Aoki",
    )
    expected: list[Any] = [
        OpenCloseLog(
            kind=OpenCloseLog.KIND_OPEN, currency_code="JPY", initial_float_minor_units=30_000, **common(clock)
        ),
        CashLog(
            movement_no=1,
            kind=CASH_MOVEMENT_KIND_CASH_IN,
            currency_code="JPY",
            amount_minor_units=30_000,
            is_initial_float=True,
            **common(clock),
        ),
    ]
    assert await events(node) == expected
    for number, request in enumerate((CASH_IN, CASH_OUT), start=2):
        clock.advance(60)
        moved = (await terminal.RecordCashMovement(request)).cash_movement
        signed = 800 if request is CASH_IN else -300
        assert (moved.movement_no, moved.kind, moved.amount) == (number, request.kind, yen(signed))
        assert (moved.comment, moved.create_time) == (request.comment, instant(clock))
        expected.append(
            CashLog(
                movement_no=number,
                kind=request.kind,
                currency_code="JPY",
                amount_minor_units=signed,
                comment=request.comment,
                **common(clock),
            )
        )
    last_movement = instant(clock)
    clock.advance(60)
    closed = await terminal.CloseTerminal(CLOSE)
    numbers: dict[str, Any] = {
        "transaction_count": 7,
        "last_transaction_no": 42,
        "cash_movement_count": 3,
        "last_cash_movement_time": last_movement,
    }
    assert closed.closing == Closing(counted_cash=yen(30_500), create_time=instant(clock), **numbers)
    expected.append(
        OpenCloseLog(
            kind=OpenCloseLog.KIND_CLOSE,
            currency_code="JPY",
            counted_cash_minor_units=30_500,
            **numbers,
            **common(clock),
        )
    )
    assert await events(node) == expected
    assert (closed.terminal.state, closed.terminal.function_mode) == (
        Terminal.STATE_CLOSED,
        Terminal.FUNCTION_MODE_OPEN,
    )
    assert (await office.GetTerminal(LOOK)).terminal == closed.terminal
    listed = await office.ListOpenings(pb.ListOpeningsRequest(store_code="0001", business_date=DAY))
    assert list(listed.openings) == [
        Opening(
            terminal_no=1,
            business_date=DAY,
            open_counter=1,
            business_counter=1,
            state=Opening.STATE_CLOSED,
            closing=closed.closing,
        )
    ]


async def test_envelopes_name_their_terminal(terminal, node):
    """Events of a terminal share its key and are numbered per topic; each names what it is about."""
    await bring(terminal, "closed")
    subject = "tenants/acme/stores/0001/terminals/1"
    assert [(one.topic, one.number, one.subject) for one in await envelopes(node)] == [
        ("opencloselog", 1, f"{subject}/openings/1"),
        ("cashlog", 1, f"{subject}/cash-movements/1"),
        ("opencloselog", 2, f"{subject}/openings/1"),
    ]
    assert {(one.tenant_id, one.key, one.source) for one in await envelopes(node)} == {
        ("acme", "acme/0001/1", "terminal")
    }


@pytest.mark.parametrize(("initial_float", "movements"), [(None, 0), (0, 1)])
async def test_a_float_of_nothing_is_a_movement(terminal, node, initial_float, movements):
    """A float of 0 is recorded and counts; without a float there is no movement, and no time of a last one."""
    await bring(terminal, "signed in")
    money = None if initial_float is None else yen(initial_float)
    await terminal.OpenTerminal(pb.OpenTerminalRequest(business_date=DAY, initial_float=money))
    closing = (await terminal.CloseTerminal(CLOSE)).closing
    assert (closing.cash_movement_count, closing.HasField("last_cash_movement_time")) == (movements, movements > 0)
    opened, *moved, _ = await events(node)
    assert opened.HasField("initial_float_minor_units") == (initial_float is not None)
    assert [type(one) for one in moved] == [CashLog] * movements


@pytest.mark.parametrize(
    ("now", "today"),
    [
        (datetime(2026, 1, 5, 14, 59, tzinfo=UTC), Date(year=2026, month=1, day=5)),
        (datetime(2026, 1, 5, 15, 0, tzinfo=UTC), Date(year=2026, month=1, day=6)),
    ],
)
async def test_opens_for_the_stores_today(terminal, clock, now, today):
    """Without a date the terminal opens for today in the store's time zone: in Tokyo the day begins at 15:00 UTC."""
    await bring(terminal, "signed in")
    clock.advance((now - clock.now()).total_seconds())
    assert (await terminal.OpenTerminal(pb.OpenTerminalRequest())).terminal.business_date == today


async def test_counts_openings(office, terminal, system):
    """open_counter starts again each business date, business_counter never does; cash counts by opening."""
    await bring(terminal, "closed")
    next_day = Date(year=2026, month=3, day=2)
    counters = []
    for day in (DAY, next_day):
        opened = (await terminal.OpenTerminal(pb.OpenTerminalRequest(business_date=day))).terminal
        counters.append((opened.business_date, opened.open_counter, opened.business_counter))
        assert (await terminal.RecordCashMovement(CASH_IN)).cash_movement.movement_no == len(counters) + 1
        assert (await terminal.CloseTerminal(CLOSE)).closing.cash_movement_count == 1
    assert counters == [(DAY, 2, 2), (next_day, 1, 3)]
    await office.CreateTerminal(pb.CreateTerminalRequest(store_code="0001", terminal_no=2))
    second = pb_grpc.TerminalServiceStub(till(system, terminal_no=2).channel("terminal"))
    await second.SignIn(pb.SignInRequest(staff_id="s1", pin=PIN))
    await second.OpenTerminal(OPEN)
    listed = await office.ListOpenings(pb.ListOpeningsRequest(store_code="0001", business_date=DAY))
    assert [
        (one.terminal_no, one.open_counter, one.business_counter, one.state, one.HasField("closing"))
        for one in listed.openings
    ] == [(1, 1, 1, Opening.STATE_CLOSED, True), (1, 2, 2, Opening.STATE_CLOSED, True),
          (2, 1, 1, Opening.STATE_OPENED, False)]  # fmt: skip


async def test_modes_follow_the_state(terminal):
    """An open terminal changes between its modes; OPEN is that of a terminal that is not; neither needs a sign-in."""
    mode = await terminal.SetFunctionMode(pb.SetFunctionModeRequest(function_mode=Terminal.FUNCTION_MODE_OPEN))
    assert mode.terminal.function_mode == Terminal.FUNCTION_MODE_OPEN
    await bring(terminal, "opened, signed out")
    for one in ("RETURNS", "VOID", "CASH_IN_OUT", "CLOSE", "SALES", "SALES"):
        wanted = Terminal.FunctionMode.Value(f"FUNCTION_MODE_{one}")
        answer = await terminal.SetFunctionMode(pb.SetFunctionModeRequest(function_mode=wanted))
        assert answer.terminal.function_mode == wanted


async def test_sign_out_makes_room(terminal, system):
    """After a sign-out another signs in; who opened is not signed in for ever."""
    await bring(terminal, "opened, signed out")
    await hire(system, "acme", "s2", "Baba")
    answer = await terminal.SignIn(pb.SignInRequest(staff_id="s2", pin=PIN))
    assert (answer.terminal.staff_id, answer.terminal.staff_name) == ("s2", "Baba")


@pytest.mark.parametrize(
    ("state", "request_", "other"),
    [
        ("idle", pb.SignInRequest(staff_id="s1", pin=PIN), pb.SignInRequest(staff_id="s1", pin="0000")),
        ("signed in", OPEN, pb.OpenTerminalRequest(business_date=DAY, initial_float=yen(0))),
        ("opened", CASH_IN, CASH_OUT),
        ("opened", CLOSE, pb.CloseTerminalRequest(counted_cash=yen(0))),
        (
            "opened",
            pb.SetFunctionModeRequest(function_mode=Terminal.FUNCTION_MODE_VOID),
            pb.SetFunctionModeRequest(function_mode=Terminal.FUNCTION_MODE_RETURNS),
        ),
    ],
)
async def test_changes_once(office, terminal, node, state, request_, other):
    """A repeat of any change gets the first answer, changes nothing and publishes nothing again."""
    await bring(terminal, state)
    await assert_replayed(terminal, request_, other)
    before = (await office.GetTerminal(LOOK)).terminal, await envelopes(node)
    await send(terminal, request_, metadata=key("once"))
    assert ((await office.GetTerminal(LOOK)).terminal, await envelopes(node)) == before


async def test_signs_out_and_creates_once(office, terminal):
    """A repeated sign-out is not refused, and a repeated creation finds no terminal in its way."""
    await bring(terminal, "signed in")
    for _ in range(2):
        assert (await terminal.SignOut(pb.SignOutRequest(), metadata=key("once"))).terminal.staff_id == ""
    create = pb.CreateTerminalRequest(store_code="0001", terminal_no=2)
    await assert_replayed(office, create, pb.CreateTerminalRequest(store_code="0001", terminal_no=3))


async def test_lists_in_pages(office, terminal, system):
    """The back office pages through all stores by store and number; a terminal sees its own store."""
    await add_store(system, "acme", "0000")
    for place in (("0000", 3), ("0001", 2), ("0000", 12)):
        await office.CreateTerminal(pb.CreateTerminalRequest(store_code=place[0], terminal_no=place[1]))
    listed: list[tuple[str, int]] = []
    token, pages = "", 0
    while token or not pages:
        page = await office.ListTerminals(pb.ListTerminalsRequest(page_size=2, page_token=token))
        listed += [(one.store_code, one.terminal_no) for one in page.terminals]
        token, pages = page.next_page_token, pages + 1
    assert (listed, pages) == ([("0000", 3), ("0000", 12), ("0001", 1), ("0001", 2)], 2)
    for stub, request in ((terminal, pb.ListTerminalsRequest()), (office, pb.ListTerminalsRequest(store_code="0001"))):
        assert [one.terminal_no for one in (await stub.ListTerminals(request)).terminals] == [1, 2]


async def test_what_cannot_be_published_is_not_done(office, terminal, node):
    """An opening whose event cannot be written is no opening: both are of one transaction."""
    await bring(terminal, "signed in")
    taken = {"topic": "opencloselog", "key": "acme/0001/1", "number": 1, "tenant_id": "acme", "event_id": "x"}
    row = {**taken, "envelope": b"", "create_time": START, "confirmed": False}
    outbox = node.storage.tables.outbox
    await node.storage.database.write(lambda connection: connection.execute(sa.insert(outbox).values(row)) and None)
    assert (await refusal(terminal.OpenTerminal(OPEN)))[1] == "trunk/INTERNAL_ERROR"
    assert (await office.GetTerminal(LOOK)).terminal.state == Terminal.STATE_IDLE
    listed = await office.ListOpenings(pb.ListOpeningsRequest(store_code="0001", business_date=DAY))
    assert not listed.openings
