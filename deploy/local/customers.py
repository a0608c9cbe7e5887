"""What a till does for one customer, as planned."""

from __future__ import annotations

from deploy.local.ledger import Transaction
from deploy.local.plan import Basket
from deploy.local.sale import Line, Sale
from deploy.local.till import Till

_NOTES = (1_000, 5_000, 10_000)
_VOUCHER = 500
_CODE_LIMIT = 100_000


async def attend(till: Till, basket: Basket) -> Transaction | None:
    """Does it all; gives the sale, if it became one."""
    sale = await till.new_sale()
    if basket.lines:
        await sale.add([Line(item_code, quantity) for item_code, quantity in basket.lines])
    if basket.outcome != "sale":
        await till.give_up(sale)
        return None
    await _enter(sale, basket)
    await _pay(sale, basket.tender)
    done = await till.finish(sale)
    await _afterwards(till, done, basket.afterwards)
    if basket.cash_movement:
        await till.move_cash(
            basket.cash_movement, "change from the bank" if basket.cash_movement > 0 else "to the safe"
        )
    return done


async def _enter(sale: Sale, basket: Basket) -> None:
    if basket.corrected:
        await sale.change(basket.corrected, sale.lines[basket.corrected].quantity + 1)
    if basket.cancelled:
        await sale.cancel_line(basket.cancelled)
    due = await sale.subtotal()
    if basket.forgotten:
        if due > 1:
            # Payments made before are cleared when the cart is resumed.
            await sale.pay("cash", 1)
        await sale.resume()
        await sale.add([Line(basket.forgotten, 1)])
        await sale.subtotal()


async def _pay(sale: Sale, tender: str) -> None:
    due = sale.totals.balance.minor_units
    if tender == "voucher and cash":
        due = await sale.pay("voucher", _VOUCHER)
    elif tender == "card and cash":
        due = await sale.pay("card", (due + 1) // 2)
    elif tender in {"card", "code"}:
        due = await sale.pay("code" if tender == "code" and due <= _CODE_LIMIT else "card", due)
    elif tender == "exact cash":
        due = await sale.pay("cash", due)
    if due > 0:
        await sale.pay("cash", next((note for note in _NOTES if note >= due), -(-due // _NOTES[0]) * _NOTES[0]))


async def _afterwards(till: Till, sale: Transaction, what: str) -> None:
    if what == "void":
        await till.void(sale)
    elif what:
        taken_back = await till.take_back(sale, "cash")
        if what == "return and void":
            await till.void(taken_back)
