"""One sale from the first line to the log that is published, field by field."""

from __future__ import annotations

import pytest
from google.protobuf.text_format import Parse
from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1.cart_pb2 import Cart, CartTotals
from pos.event.v1.transaction_log_pb2 import TransactionLog

from tests.services.cart.goods import yen
from tests.services.cart.shop import line, look, sums, taxes
from tests.services.published import envelopes

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOTALS = """
  total { currency_code: "JPY" minor_units: 800 }
  total_with_tax { currency_code: "JPY" minor_units: 820 }
  balance { currency_code: "JPY" minor_units: 0 }
  change { currency_code: "JPY" minor_units: 180 }
  taxes {
    tax_code: "01" kind: TAX_KIND_EXTERNAL rate_bps: 1000
    target { currency_code: "JPY" minor_units: 200 } amount { currency_code: "JPY" minor_units: 20 }
  }
  taxes {
    tax_code: "02" kind: TAX_KIND_INTERNAL rate_bps: 1000
    target { currency_code: "JPY" minor_units: 600 } amount { currency_code: "JPY" minor_units: 54 }
  }
  line_count: 2 quantity: 5
"""
PLACE = """
  store_code: "0001" business_date { year: 2026 month: 3 day: 1 } open_counter: 1 business_counter: 1
  staff_id: "s1" staff_name: "Aoki" transaction_no: 1 receipt_no: 111111
"""
SHOWN = (
    PLACE
    + f"totals {{ state: STATE_COMPLETED {TOTALS} }}"
    + """
  lines {
    line_no: 1 item_code: "A" description: "Item A" category_code: "food" tax_code: "01" quantity: 2
    unit_price { currency_code: "JPY" minor_units: 100 } amount { currency_code: "JPY" minor_units: 200 }
  }
  lines {
    line_no: 2 item_code: "B" description: "Item B" category_code: "food" tax_code: "02" quantity: 3
    unit_price { currency_code: "JPY" minor_units: 200 } amount { currency_code: "JPY" minor_units: 600 }
  }
  payments {
    payment_method_code: "cash" description: "Cash" kind: TENDER_KIND_CASH
    deposit { currency_code: "JPY" minor_units: 1000 } applied { currency_code: "JPY" minor_units: 820 }
    change { currency_code: "JPY" minor_units: 180 } forfeited { currency_code: "JPY" minor_units: 0 }
  }
"""
)
LOGGED = (
    PLACE
    + """
  kind: TRANSACTION_KIND_SALE currency_code: "JPY" quantity: 5
  total_minor_units: 800 total_with_tax_minor_units: 820 change_minor_units: 180
  lines {
    line_no: 1 item_code: "A" description: "Item A" category_code: "food" tax_code: "01"
    unit_price_minor_units: 100 quantity: 2 amount_minor_units: 200
  }
  lines {
    line_no: 2 item_code: "B" description: "Item B" category_code: "food" tax_code: "02"
    unit_price_minor_units: 200 quantity: 3 amount_minor_units: 600
  }
  taxes { tax_code: "01" kind: TAX_KIND_EXTERNAL rate_bps: 1000 target_minor_units: 200 amount_minor_units: 20 }
  taxes { tax_code: "02" kind: TAX_KIND_INTERNAL rate_bps: 1000 target_minor_units: 600 amount_minor_units: 54 }
  payments {
    payment_method_code: "cash" description: "Cash" kind: TENDER_KIND_CASH
    deposit_minor_units: 1000 applied_minor_units: 820 change_minor_units: 180
  }
"""
)


async def test_one_sale(lane):
    """Each change answers the totals and what it touched; the sale is shown and published whole, with its numbers."""
    created = await lane.carts.CreateCart(pb.CreateCartRequest())
    cart_id, start = created.cart_id, lane.shop.clock.now()
    none = yen(0)
    assert created.totals == CartTotals(
        state=Cart.STATE_IDLE, total=none, total_with_tax=none, balance=none, change=none
    )
    added = await lane.add(cart_id, line("A", 2))
    assert (sums(added.totals), [one.line_no for one in added.lines]) == ((200, 220, 220, 2), [1])
    added = await lane.add(cart_id, line("B", 3))
    assert (sums(added.totals), [one.line_no for one in added.lines]) == ((800, 820, 820, 5), [2])
    assert (added.totals.state, taxes(added.totals)) == (Cart.STATE_ENTERING, [("01", 200, 20), ("02", 600, 54)])
    subtotal = await lane.subtotal(cart_id)
    assert (subtotal.state, sums(subtotal)) == (Cart.STATE_PAYING, (800, 820, 820, 5))
    paid = await lane.pay(cart_id, "cash", 1000)
    assert (sums(paid.totals), paid.totals.change) == ((800, 820, 0, 5), yen(180))
    lane.shop.clock.advance(30)
    finished = await lane.finalise(cart_id)

    shown = Parse(SHOWN, Cart(cart_id=cart_id, terminal_no=lane.terminal_no))
    shown.create_time.FromDatetime(start)
    assert await look(lane, cart_id) == shown
    assert list(shown.payments) == [paid.payment]
    assert finished == pb.FinalizeCartResponse(totals=shown.totals, transaction_no=1, receipt_no=111_111)
    logged = Parse(LOGGED, TransactionLog(terminal_no=lane.terminal_no))
    logged.create_time.FromDatetime(lane.shop.clock.now())
    assert await lane.published() == [logged]
    assert (await lane.look(1)).log == logged


async def test_the_envelope_names_the_sale(lane):
    """The event is about the transaction, of its tenant, in the order of its terminal."""
    await lane.sell()
    (envelope,) = [one for one in await envelopes(lane.shop.cart) if one.key == lane.key]
    assert (envelope.topic, envelope.source, envelope.tenant_id) == ("tranlog", "cart", "acme")
    assert (envelope.subject, envelope.number) == (lane.transaction(1), 1)
