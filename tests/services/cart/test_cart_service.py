"""What carts come to and what becomes of them, through CartService's whole chain, with real neighbours."""

from __future__ import annotations

import pytest
import pytest_asyncio
from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1.cart_pb2 import Cart
from pos.item.v1 import item_service_pb2, item_service_pb2_grpc
from pos.item.v1.item_pb2 import Item
from pos.type.v1.tax_kind_pb2 import TAX_KIND_EXEMPT, TAX_KIND_EXTERNAL, TAX_KIND_INTERNAL
from pos.type.v1.transaction_kind_pb2 import TRANSACTION_KIND_CANCELLED_SALE

from tests.services.cart.goods import yen
from tests.services.cart.shop import Lane, Shop, line, look, sums, taxes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def elsewhere(shop: Shop) -> Lane:
    """A terminal of another store."""
    lane = await shop.lane("0002")
    await lane.open()
    return lane


async def test_taxes_by_code(shared):
    """All five taxes in one cart: floored, external ones added, internal ones contained, exempt goods untaxed."""
    cart_id = await shared.new_cart()
    added = await shared.add(cart_id, *(line(code, 1, 999) for code in "ABCDE"))
    assert taxes(added.totals) == [
        ("00", 999, 0), ("01", 999, 99), ("02", 999, 90), ("11", 999, 79), ("12", 999, 74),
    ]  # fmt: skip
    assert [(one.kind, one.rate_bps) for one in added.totals.taxes] == [
        (TAX_KIND_EXEMPT, 0), (TAX_KIND_EXTERNAL, 1000), (TAX_KIND_INTERNAL, 1000),
        (TAX_KIND_EXTERNAL, 800), (TAX_KIND_INTERNAL, 800),
    ]  # fmt: skip
    assert sums(added.totals) == (4995, 5173, 5173, 5)


async def test_tax_is_floored_once_per_code(shared):
    """Two lines of 5 at 10 % owe 1 together, and nothing each."""
    cart_id = await shared.new_cart()
    assert taxes((await shared.add(cart_id, line("A", 1, 5))).totals) == [("01", 5, 0)]
    assert taxes((await shared.add(cart_id, line("A", 1, 5))).totals) == [("01", 10, 1)]


@pytest.mark.parametrize(
    ("store_code", "item_code", "given", "charged"),
    [
        ("0001", "A", None, 100),
        ("0001", "S", None, 80),
        ("0002", "S", None, 100),
        ("0001", "Z", None, 0),
        ("0002", "Z", None, 100),
        ("0001", "S", 70, 70),
        ("0001", "S", 0, 0),
        ("0001", "Z", 5, 5),
    ],
)
async def test_the_price_that_is_there_is_charged(shared, elsewhere, store_code, item_code, given, charged):
    """The price given on the line, else the store's, else the item's; 0 is a price."""
    lane = {"0001": shared, "0002": elsewhere}[store_code]
    added = await lane.add(await lane.new_cart(), line(item_code, 3, given))
    assert (added.lines[0].unit_price, added.lines[0].amount) == (yen(charged), yen(3 * charged))


async def test_lines_change_and_go(shared):
    """A new quantity replaces the old one; a cancelled line keeps its number and counts nowhere."""
    cart_id = await shared.new_cart()
    await shared.add(cart_id, line("A", 2), line("B", 1))
    request = pb.ChangeLineQuantityRequest(cart_id=cart_id, line_no=1, quantity=5)
    changed = await shared.carts.ChangeLineQuantity(request)
    assert (changed.line.line_no, changed.line.quantity, changed.line.amount) == (1, 5, yen(500))
    assert sums(changed.totals) == (700, 750, 750, 6)
    cancelled = await shared.carts.CancelLine(pb.CancelLineRequest(cart_id=cart_id, line_no=1))
    assert (cancelled.line.cancelled, cancelled.line.amount) == (True, yen(500))
    assert (sums(cancelled.totals), cancelled.totals.line_count) == ((200, 200, 200, 1), 1)
    assert taxes(cancelled.totals) == [("02", 200, 18)]
    added = await shared.add(cart_id, line("A"))
    assert [one.line_no for one in added.lines] == [3]
    shown = (await look(shared, cart_id)).lines
    assert [(one.line_no, one.item_code, one.quantity, one.cancelled) for one in shown] == [
        (1, "A", 5, True), (2, "B", 1, False), (3, "A", 1, False),
    ]  # fmt: skip


async def test_resume_gives_payments_back(shared):
    """Going back to the lines clears the payments; what is added then is due too."""
    cart_id = await shared.new_cart("paying")
    await shared.pay(cart_id, "card", 100)
    resumed = (await shared.carts.ResumeCart(pb.ResumeCartRequest(cart_id=cart_id))).totals
    assert (resumed.state, sums(resumed)) == (Cart.STATE_ENTERING, (200, 220, 220, 2))
    await shared.add(cart_id, line("C"))
    subtotal = await shared.subtotal(cart_id)
    assert sums(subtotal) == (1199, 1219, 1219, 3)
    assert not (await look(shared, cart_id)).payments


async def test_several_tenders(lane):
    """Each tender pays its part by its own rules: exactly, up to its limit, or with change."""
    cart_id = await lane.new_cart()
    await lane.add(cart_id, line("C", 1, 6000))
    await lane.subtotal(cart_id)
    balances = []
    for code, deposit in (("card", 300), ("voucher", 5000), ("cash", 200), ("cash", 1000)):
        balances.append((await lane.pay(cart_id, code, deposit)).totals.balance.minor_units)
    assert balances == [5700, 700, 500, 0]
    finished = await lane.finalise(cart_id)
    assert finished.totals.change == yen(500)
    assert [
        (one.payment_method_code, one.applied_minor_units, one.change_minor_units)
        for one in (await lane.published())[0].payments
    ] == [("card", 300, 0), ("voucher", 5000, 0), ("cash", 200, 0), ("cash", 500, 500)]


async def test_a_voucher_gives_no_change(lane):
    """What a tender without change takes beyond what is due is forfeited, and recorded so."""
    cart_id = await lane.new_cart("paying")
    paid = await lane.pay(cart_id, "voucher", 500)
    assert (paid.payment.applied, paid.payment.change, paid.payment.forfeited) == (yen(220), yen(0), yen(280))
    assert (paid.totals.balance, paid.totals.change) == (yen(0), yen(0))
    await lane.finalise(cart_id)
    (log,) = await lane.published()
    assert (log.change_minor_units, log.payments[0].forfeited_minor_units) == (0, 280)


async def test_goods_for_nothing_are_sold(lane):
    """A cart that comes to nothing is a sale without payments, numbered like any other."""
    cart_id = await lane.new_cart()
    await lane.add(cart_id, line("Z", 2))
    await lane.subtotal(cart_id)
    finished = await lane.finalise(cart_id)
    assert (finished.transaction_no, sums(finished.totals)) == (1, (0, 0, 0, 2))
    (log,) = await lane.published()
    assert (log.quantity, log.total_with_tax_minor_units, len(log.payments)) == (2, 0, 0)


@pytest.mark.parametrize("state", ["entering", "paying", "paid"])
async def test_a_cancelled_cart_is_a_transaction(lane, state):
    """Where a line was ever added, cancelling numbers and publishes what was in the cart."""
    cart_id = await lane.new_cart(state)
    cancelled = await lane.cancel(cart_id)
    assert (cancelled.totals.state, cancelled.transaction_no, cancelled.receipt_no) == (
        Cart.STATE_CANCELLED, 1, 111_111,
    )  # fmt: skip
    (log,) = await lane.published()
    assert (log.kind, log.total_with_tax_minor_units, log.quantity) == (TRANSACTION_KIND_CANCELLED_SALE, 220, 2)
    shown = await look(lane, cart_id)
    assert (shown.totals, shown.transaction_no) == (cancelled.totals, 1)


async def test_a_cart_without_lines_leaves_nothing(lane):
    """Cancelling a cart that never had a line makes no transaction and burns no number; one of gone lines does."""
    empty = await lane.cancel(await lane.new_cart())
    assert (empty.totals.state, empty.transaction_no, empty.receipt_no) == (Cart.STATE_CANCELLED, 0, 0)
    assert not await lane.published()
    cart_id = await lane.new_cart("entering")
    await lane.carts.CancelLine(pb.CancelLineRequest(cart_id=cart_id, line_no=1))
    assert (await lane.cancel(cart_id)).transaction_no == 1


async def test_a_hundred_lines_at_once(lane):
    """The largest request adds its lines in order, and the log of their sale has them all."""
    cart_id = await lane.new_cart()
    wanted = [("A", 1), ("B", 2), ("C", 3), ("D", 4)] * 25
    added = await lane.add(cart_id, *(line(code, quantity) for code, quantity in wanted))
    assert [(one.line_no, one.item_code, one.quantity) for one in added.lines] == [
        (number, *one) for number, one in enumerate(wanted, 1)
    ]
    assert added.totals.line_count == 100
    assert taxes(added.totals) == [("00", 74_925, 0), ("01", 2500, 250), ("02", 10_000, 909), ("11", 99_900, 7992)]
    assert sums(added.totals) == (187_325, 195_567, 195_567, 250)
    await lane.subtotal(cart_id)
    await lane.pay(cart_id, "card", 195_567)
    await lane.finalise(cart_id)
    (log,) = await lane.published()
    assert [(one.item_code, one.quantity) for one in log.lines] == wanted


async def test_a_line_keeps_what_it_was_added_with(shared, shop):
    """A change of an item, or its deletion, leaves the lines that have it as they are."""
    items = item_service_pb2_grpc.ItemServiceStub(shop.office("item"))
    item = Item(item_code="K", description="Kiwi", unit_price=yen(50), category_code="food", tax_code="00")
    await items.CreateItem(item_service_pb2.CreateItemRequest(item=item))
    cart_id = await shared.new_cart()
    await shared.add(cart_id, line("K"))
    change = item_service_pb2.UpdateItemRequest(item_code="K", description="Kale", unit_price=yen(90), tax_code="01")
    await items.UpdateItem(change)
    later = (await shared.add(cart_id, line("K"))).lines[0]
    await items.DeleteItem(item_service_pb2.DeleteItemRequest(item_code="K"))
    first, second = (await look(shared, cart_id)).lines
    assert (first.description, first.unit_price, first.tax_code) == ("Kiwi", yen(50), "00")
    assert (second, second.description, second.unit_price, second.tax_code) == (later, "Kale", yen(90), "01")
