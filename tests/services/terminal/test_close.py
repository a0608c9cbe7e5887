"""Closing a terminal when something is in the way: the seal comes first, and the close can be tried again."""

from __future__ import annotations

from pos.cart.v1 import transaction_service_pb2 as cart_pb
from pos.terminal.v1 import terminal_service_pb2 as pb
from pos.terminal.v1.terminal_pb2 import Terminal
from trunkline.errors import failed_precondition, unavailable

from services.terminal.app import build
from services.terminal.settings import TerminalSettings
from tests.services.callers import key, refusal
from tests.services.published import envelopes
from tests.services.terminal.conftest import DAY, bring, sign_in, yen

LOOK = pb.GetTerminalRequest(store_code="0001", terminal_no=1)
CLOSE = pb.CloseTerminalRequest(counted_cash=yen(30_000))
WHO = {"terminal": "acme/0001/1"}


async def state_of(office) -> str:
    """The terminal's state."""
    return Terminal.State.Name((await office.GetTerminal(LOOK)).terminal.state)


async def test_seals_its_own_opening(terminal, cart):
    """What is sealed is the opening that is being closed."""
    await bring(terminal, "opened")
    await terminal.CloseTerminal(CLOSE)
    assert cart.requests == [cart_pb.SealOpeningRequest(store_code="0001", terminal_no=1, business_counter=1)]


async def test_unfinished_carts_keep_it_open(office, terminal, node, cart):
    """While carts are unfinished nothing is closed or published; afterwards it can be, under the same key."""
    await bring(terminal, "opened")
    before = await envelopes(node)
    unfinished = {**WHO, "carts": "2"}
    cart.failure = failed_precondition("CARTS_UNFINISHED", "carts of the opening are unfinished", **unfinished)
    refused = await refusal(terminal.CloseTerminal(CLOSE, metadata=key("close")))
    assert refused == ("FAILED_PRECONDITION", "pos.terminal/CARTS_UNFINISHED", unfinished)
    assert (await state_of(office), await envelopes(node)) == ("STATE_OPENED", before)
    cart.failure = None
    await terminal.CloseTerminal(CLOSE, metadata=key("close"))
    assert await state_of(office) == "STATE_CLOSED"


async def test_a_close_that_fails_after_the_seal_can_be_repeated(office, terminal, node, cart):
    """A sealed opening whose close was refused is still OPENED, and closes with the first numbers."""
    await bring(terminal, "opened")
    before = await envelopes(node)
    cart.meanwhile = lambda: terminal.SignOut(pb.SignOutRequest())
    refused = await refusal(terminal.CloseTerminal(CLOSE, metadata=key("close")))
    assert refused == ("FAILED_PRECONDITION", "pos.terminal/STAFF_NOT_SIGNED_IN", WHO)
    assert (await state_of(office), await envelopes(node)) == ("STATE_OPENED", before)
    await sign_in(terminal)
    closing = (await terminal.CloseTerminal(CLOSE, metadata=key("close"))).closing
    assert (closing.transaction_count, closing.last_transaction_no) == (7, 42)
    assert cart.requests[0] == cart.requests[1]
    listed = await office.ListOpenings(pb.ListOpeningsRequest(store_code="0001", business_date=DAY))
    assert [one.closing for one in listed.openings] == [closing]


async def test_of_two_closes_one_closes(office, terminal, node, cart):
    """A close that was overtaken by another finds the terminal closed; one close is published."""
    await bring(terminal, "opened")
    cart.meanwhile = lambda: terminal.CloseTerminal(CLOSE)
    refused = await refusal(terminal.CloseTerminal(CLOSE))
    assert refused == ("FAILED_PRECONDITION", "pos.terminal/TERMINAL_NOT_OPEN", {**WHO, "state": "CLOSED"})
    assert [one.topic for one in await envelopes(node)] == ["opencloselog", "cashlog", "opencloselog"]


async def test_an_overtaken_close_does_not_close_the_next_opening(office, terminal, cart):
    """Numbers sealed for one opening never close another."""
    await bring(terminal, "opened")

    async def overtake() -> None:
        await terminal.CloseTerminal(CLOSE)
        await terminal.OpenTerminal(pb.OpenTerminalRequest(business_date=DAY))

    cart.meanwhile = overtake
    refused = await refusal(terminal.CloseTerminal(CLOSE))
    assert refused == ("FAILED_PRECONDITION", "pos.terminal/TERMINAL_NOT_OPEN", {**WHO, "state": "CLOSED"})
    assert await state_of(office) == "STATE_OPENED"


async def test_without_cart_it_stays_open(office, terminal, node, cart):
    """While cart cannot be reached the close fails as cart does, and nothing is closed."""
    await bring(terminal, "opened")
    before = await envelopes(node)
    cart.failure = unavailable("DRAINING", "gone for now")
    refused = await refusal(terminal.CloseTerminal(CLOSE))
    assert refused == ("UNAVAILABLE", "pos.cart/DRAINING", {})
    assert (await state_of(office), await envelopes(node)) == ("STATE_OPENED", before)


async def test_starts_before_those_it_calls(system):
    """The service starts without its peers, and says which call needs one that is missing."""
    node = await system.start("terminal", build, TerminalSettings())
    assert set(node.peers) == {"store", "cart"}
