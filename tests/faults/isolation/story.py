"""What every tenant does before anybody looks: it opens a shop and trades. All use the same idempotency keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.isolation.rows import YEN

ACCOUNT, STORE, ITEM = "pos.account.v1.AccountService", "pos.store.v1.StoreService", "pos.item.v1.ItemService"
CATEGORY, METHOD = "pos.item.v1.CategoryService", "pos.payment.v1.PaymentMethodService"
USER = "pos.account.v1.UserService"
STAFF, SETTINGS, TERMINAL = (
    "pos.store.v1.StaffService",
    "pos.store.v1.SettingsService",
    "pos.terminal.v1.TerminalService",
)
CART, TRANSACTION = "pos.cart.v1.CartService", "pos.cart.v1.TransactionService"
STOCK, REPORT, JOURNAL = "pos.stock.v1.StockService", "pos.report.v1.ReportService", "pos.journal.v1.JournalService"
_LINE, _NOTE = {"lines": [{"quantity": 3}]}, {**YEN, "minor_units": "10000"}


_MADE = {
    f"{USER}/CreateUser": "user_name",
    f"{STORE}/CreateStore": "store_code",
    f"{CATEGORY}/CreateCategory": "category_code",
    f"{ITEM}/CreateItem": "item_code",
    f"{METHOD}/CreatePaymentMethod": "payment_method_code",
    f"{STAFF}/CreateStaff": "staff_id",
    f"{TERMINAL}/CreateTerminal": "terminal_no",
    f"{STOCK}/RecordMovement": "item_code",
}
"""Rpc that makes a thing, and the name of the thing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the story."""

    sender: str
    """`office` or `till`."""
    rpc: str
    """Its name."""
    second: str = ""
    """A name that means the second thing of its kind."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What is sent instead of what the row of the rpc says."""
    learns: Mapping[str, str] = field(default_factory=dict)
    """Name of a thing → path of the field in the answer that holds it."""


def opening() -> Iterator[Step]:
    """The back office makes all that is needed, two of each, so that every list has a second page."""
    for rpc, name in _MADE.items():
        fields = {"roles": ["admin"]} if rpc.startswith(USER) else {}
        yield Step("office", rpc, fields=fields)
        yield Step("office", rpc, name, fields)
    yield Step("office", f"{STOCK}/RecordMovement")
    yield Step("office", f"{ITEM}/SetStorePrice")
    yield Step("office", f"{SETTINGS}/PutSetting")
    yield Step("office", f"{ACCOUNT}/CreateApiKey", learns={"till": "credential"})
    learns = {"api_key_id": "apiKey.apiKeyId", "credential": "credential"}
    yield Step("office", f"{ACCOUNT}/CreateApiKey", "terminal_no", learns=learns)


def apart() -> Iterator[Step]:
    """What A alone does: its receipts have numbers of their own, which cart knows from an answer that it keeps."""
    yield Step("office", f"{SETTINGS}/PutSetting", fields={"key": "receipt_no_range", "value": "700000-799999"})


def trading(sales: int) -> Iterator[Step]:
    """The till opens and sells, takes a sale back, and leaves a cart open."""
    yield Step("till", f"{TERMINAL}/SignIn")
    yield Step("till", f"{TERMINAL}/OpenTerminal")
    yield Step("till", f"{TERMINAL}/RecordCashMovement")
    yield from selling(sales)
    yield Step("till", f"{CART}/CreateCart", learns={"cart_id": "cartId"})
    yield Step("till", f"{CART}/AddLines", fields=_LINE)


def selling(sales: int) -> Iterator[Step]:
    """Sales; the last is taken back."""
    for _ in range(sales):
        yield Step("till", f"{CART}/CreateCart", learns={"cart_id": "cartId"})
        yield Step("till", f"{CART}/AddLines", fields=_LINE)
        yield Step("till", f"{CART}/SubtotalCart")
        yield Step("till", f"{CART}/AddPayment", fields={"deposit": _NOTE})
        yield Step("till", f"{CART}/FinalizeCart", learns={"transaction_no": "transactionNo"})
    refund = {"payments": [{"amount": {**YEN, "minor_units": "3000"}}]}
    yield Step("till", f"{TRANSACTION}/VoidTransaction", fields=refund)


def summing() -> Iterator[Step]:
    """What depends on events that must have arrived."""
    yield Step("till", f"{REPORT}/IssueSalesReport")


def looking() -> Iterator[Step]:
    """What is known only when all events have arrived."""
    yield Step("office", f"{JOURNAL}/ListEntries", learns={"entry_id": "entries.0.entryId"})
