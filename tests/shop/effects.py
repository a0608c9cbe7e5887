"""What the services made of the events: recounted here from what was published, in other words than theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pos.event.v1.open_close_log_pb2 import OpenCloseLog
from pos.type.v1.cash_movement_kind_pb2 import CashMovementKind
from pos.type.v1.date_pb2 import Date
from pos.type.v1.report_kind_pb2 import ReportKind
from pos.type.v1.tender_kind_pb2 import TENDER_KIND_CASH
from pos.type.v1.transaction_kind_pb2 import TransactionKind

from tests.shop.books import Published, Rows, published, select

SIGN = {"SALE": 1, "VOID_SALE": -1, "RETURN": -1, "VOID_RETURN": 1, "CANCELLED_SALE": 0}
"""Which way money goes; goods go the other."""
SALES, RETURNS = {"SALE": 1, "VOID_SALE": -1}, {"RETURN": 1, "VOID_RETURN": -1}
COUNTED = ("GROSS", "RETURNS", "TAX", "PAYMENT", "CASH", "CASH_IN", "CASH_OUT", "TRANSACTIONS")
"""The figures that are recounted."""


def wrong_effects(var_dir: Path) -> list[str]:
    """What cart, terminal, journal, report and stock have that does not follow from what was published, or lack."""
    events = published(var_dir)
    rows = {name: partial(select, var_dir, name) for name in ("cart", "terminal", *EFFECTS)}
    return [
        *_transactions(events, rows["cart"]),
        *_cash_movements(events, rows["terminal"]),
        *(complaint for group, wrong in EFFECTS.items() for complaint in wrong(events, rows[group])),
    ]


def _on(events: Sequence[Published], topic: str) -> list[Published]:
    return [one for one in events if one.place[0] == topic]


def _transactions(events: Sequence[Published], rows: Rows) -> Iterator[str]:
    """Cart has a transaction for each event and none beside, numbered from 1 without holes."""
    told = Counter(_number(one) for one in _on(events, "tranlog"))
    made = rows("SELECT tenant_id, store_code, terminal_no, transaction_no FROM transaction_record")
    yield from _differences("transactions of cart", told, Counter(tuple(row) for row in made))
    last = Counter(place[:3] for place in told)
    given = rows("SELECT tenant_id, store_code, terminal_no, transaction_no FROM terminal_number")
    yield from _differences("last numbers", last, Counter({tuple(row)[:3]: row["transaction_no"] for row in given}))


def _cash_movements(events: Sequence[Published], rows: Rows) -> Iterator[str]:
    moved = rows("SELECT tenant_id, store_code, terminal_no, movement_no, amount FROM cash_movement")
    told = Counter((*_terminal(one), one.log.movement_no, one.log.amount_minor_units) for one in _on(events, "cashlog"))
    yield from _differences("cash movements", told, Counter(tuple(row) for row in moved))


def _journal(events: Sequence[Published], rows: Rows) -> Iterator[str]:
    """One entry for each event."""
    told = Counter((one.envelope.tenant_id, one.envelope.id, _kind(one)) for one in events)
    entries = rows("SELECT tenant_id, entry_id, kind FROM entry")
    yield from _differences("entries of the journal", told, Counter(tuple(row) for row in entries))
    amounts = Counter((one.envelope.id, one.log.total_with_tax_minor_units) for one in _on(events, "tranlog"))
    entries = rows("SELECT entry_id, amount_with_tax FROM entry WHERE topic = 'tranlog'")
    yield from _differences("amounts of the journal", amounts, Counter(tuple(row) for row in entries))


def _figures(events: Sequence[Published], rows: Rows) -> Iterator[str]:
    """The running sums of report equal a recount."""
    told: Counter[Any] = Counter()
    for one in _on(events, "tranlog"):
        for name, code, amount in _figures_of(one):
            told[*_opening(one), name, code] += amount
    for one in _on(events, "cashlog"):
        name = "CASH_IN" if one.log.amount_minor_units > 0 else "CASH_OUT"
        told[*_opening(one), name, ""] += one.log.amount_minor_units
    columns = "tenant_id, store_code, terminal_no, business_date, open_counter, name, code, amount, count"
    kept: Counter[Any] = Counter()
    for row in rows(f"SELECT {columns} FROM figure"):
        if row["name"] in COUNTED:
            kept[tuple(row)[:7]] = row["count"] if row["name"] == "TRANSACTIONS" else row["amount"]
    yield from _differences("figures of report", told, kept)


def _figures_of(one: Published) -> Iterator[tuple[str, str, int]]:
    log, kind = one.log, _kind(one)
    yield "TRANSACTIONS", "", 1
    discounts = sum(line.line_discount_minor_units for line in log.lines) + log.subtotal_discount_minor_units
    yield "GROSS", "", SALES.get(kind, 0) * (log.total_with_tax_minor_units + discounts)
    yield "RETURNS", "", RETURNS.get(kind, 0) * log.total_with_tax_minor_units
    yield "TAX", "", SIGN[kind] * sum(tax.amount_minor_units for tax in log.taxes)
    for payment in log.payments:
        yield "PAYMENT", payment.payment_method_code, SIGN[kind] * payment.applied_minor_units
        if payment.kind == TENDER_KIND_CASH:
            yield "CASH", "", SIGN[kind] * payment.applied_minor_units


def _stock(events: Sequence[Published], rows: Rows) -> Iterator[str]:
    """Each line has moved its goods once; the stock is what all movements come to, one after the other."""
    told = Counter(
        (*_number(one), line.item_code, -SIGN[_kind(one)] * line.quantity)
        for one in _on(events, "tranlog")
        for line in one.log.lines
        if SIGN[_kind(one)] and not line.cancelled
    )
    columns = "tenant_id, store_code, terminal_no, transaction_no, item_code, change"
    moved = rows(f"SELECT {columns} FROM movement WHERE transaction_no > 0")
    yield from _differences("movements of goods", told, Counter(tuple(row) for row in moved))
    levels: dict[tuple[str, str, str], tuple[int, int]] = {}
    for row in rows("SELECT * FROM movement ORDER BY tenant_id, store_code, item_code, movement_no"):
        place = (row["tenant_id"], row["store_code"], row["item_code"])
        number, level = levels.get(place, (0, 0))
        if (row["movement_no"], row["before"], row["after"]) != (number + 1, level, level + row["change"]):
            yield f"movement {row['movement_no']} of {place} does not follow {number}"
        levels[place] = (row["movement_no"], row["after"])
    stocks = rows("SELECT tenant_id, store_code, item_code, movement_no, quantity FROM stock")
    kept = {tuple(row)[:3]: (row["movement_no"], row["quantity"]) for row in stocks}
    yield from (
        f"stock of {place} is not what its movements come to" for place in levels if kept.get(place) != levels[place]
    )


EFFECTS: dict[str, Callable[[Sequence[Published], Rows], Iterator[str]]] = {
    "report": _figures,
    "journal": _journal,
    "stock": _stock,
}
"""Group and what is wrong with what it made of events: it is given those, and what reads rows of its database."""


def _differences(what: str, told: Counter[Any], kept: Counter[Any]) -> Iterator[str]:
    for place in sorted(told.keys() | kept.keys(), key=str):
        if told[place] != kept[place]:
            yield f"{what}: {place} should be {told[place]}, and is {kept[place]}"


def _kind(one: Published) -> str:
    log, topic = one.log, one.place[0]
    if topic == "tranlog":
        return TransactionKind.Name(log.kind).removeprefix("TRANSACTION_KIND_")
    if topic == "cashlog":
        return CashMovementKind.Name(log.kind).removeprefix("CASH_MOVEMENT_KIND_")
    if topic == "opencloselog":
        return OpenCloseLog.Kind.Name(log.kind).removeprefix("KIND_")
    return f"{ReportKind.Name(log.kind).removeprefix('REPORT_KIND_')}_REPORT"


def _terminal(one: Published) -> tuple[str, str, int]:
    return one.envelope.tenant_id, one.log.store_code, one.log.terminal_no


def _number(one: Published) -> tuple[str, str, int, int]:
    return *_terminal(one), one.log.transaction_no


def _opening(one: Published) -> tuple[str, str, int, str, int]:
    date: Date = one.log.business_date
    return *_terminal(one), f"{date.year:04}-{date.month:02}-{date.day:02}", one.log.open_counter
