"""The table of the sweep: one row for each rpc of the system. A new rpc gets its row here, or the sweep fails.

A row says how a call ends that names the things of another tenant: exactly as one that names things that do not exist.
Fields that name a thing are filled by their name (`names.py`), texts too; a row gives what else the contract asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.isolation.filling import LEAVE

YEN = {"currency_code": "JPY", "minor_units": "1000"}
DATE = {"year": 2026, "month": 1, "day": 5}
PIN, NEW_PASSWORD = "7310645528", "a new battery staple"
"""Of everybody in all tenants."""
PASSWORD = "correct horse battery staple"
"""Of nobody: who knows a password may sign in, from wherever."""
READ, SUM, CHANGE, CREATE, END = range(5)
"""Turns: what sums events up comes before all that makes some; what is created under another tenant's name is there for
all later calls; what ends the day comes last."""
OK = "OK"


@dataclass(frozen=True, slots=True)
class Row:
    """How an rpc is called, and what comes of it for whom the contract lets through."""

    outcome: str
    """Code, and domain and reason."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What is sent beside names."""
    turn: int = CHANGE
    """When it is called, if it is no read."""
    timed: bool | None = None
    """Whether answers are compared by the time they take; None: those of reads are."""


ACCESS_DENIED = "PERMISSION_DENIED trunk/ACCESS_DENIED"
FOREIGN = "PERMISSION_DENIED pos.account/TENANT_FOREIGN"
NO_CART = "NOT_FOUND pos.cart/CART_NOT_FOUND"
NO_CATEGORY = "NOT_FOUND pos.item/CATEGORY_NOT_FOUND"
NO_ITEM = "NOT_FOUND pos.item/ITEM_NOT_FOUND"
NO_METHOD = "NOT_FOUND pos.payment/PAYMENT_METHOD_NOT_FOUND"
NO_STAFF = "NOT_FOUND pos.store/STAFF_NOT_FOUND"
NO_TRANSACTION = "NOT_FOUND pos.cart/TRANSACTION_NOT_FOUND"

_EVENT = {"topic": "tranlog", "key": "nobodys/0001/1", "number": 1}
_ITEM = {"unit_price": YEN, "tax_code": "00", "store_record": LEAVE, "image_url": LEAVE}
_METHOD = {
    "kind": "TENDER_KIND_CASH", "active": True, "can_refund": True, "can_deposit_over": True, "can_change": True,
}  # fmt: skip
_REFUND = {"payments": [{"amount": YEN}]}
_NUMBERS = dict.fromkeys(("from_transaction_no", "to_transaction_no", "from_receipt_no", "to_receipt_no"), LEAVE)

ROWS: dict[str, Row] = {
    "pos.account.v1.AccountService/CreateTenant": Row(ACCESS_DENIED, {"tenant": {"currency_code": "JPY"}}),
    "pos.account.v1.AccountService/GetTenant": Row(FOREIGN),
    "pos.account.v1.AccountService/CreateApiKey": Row(
        FOREIGN, {"kind": "KIND_TERMINAL", "service_name": LEAVE}, turn=CREATE
    ),
    "pos.account.v1.AccountService/ListApiKeys": Row(FOREIGN),
    "pos.account.v1.AccountService/RevokeApiKey": Row("NOT_FOUND pos.account/API_KEY_NOT_FOUND"),
    "pos.account.v1.UserService/CreateUser": Row(
        FOREIGN, {"password": NEW_PASSWORD, "roles": ["auditor"]}, turn=CREATE
    ),
    "pos.account.v1.UserService/GetUser": Row(FOREIGN),
    "pos.account.v1.UserService/ListUsers": Row(FOREIGN),
    "pos.account.v1.UserService/SetUserRoles": Row(FOREIGN, {"roles": ["admin"]}),
    "pos.account.v1.UserService/SetUserPassword": Row(FOREIGN, {"password": NEW_PASSWORD}),
    "pos.account.v1.UserService/ChangePassword": Row(
        "PERMISSION_DENIED pos.account/CALLER_NO_USER",
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    ),
    "pos.account.v1.UserService/DisableUser": Row(FOREIGN),
    "pos.account.v1.UserService/EnableUser": Row(FOREIGN),
    "pos.account.v1.UserService/UnlockUser": Row(FOREIGN),
    "trunk.identity.v1.IdentityService/ExchangeCredential": Row(
        "UNAUTHENTICATED trunk.identity/CREDENTIAL_INVALID", timed=False
    ),
    "trunk.identity.v1.IdentityService/SignIn": Row(
        "UNAUTHENTICATED trunk.identity/CREDENTIAL_INVALID", {"password": PASSWORD}, timed=False
    ),
    "trunk.identity.v1.IdentityService/ListRevocations": Row(OK),
    "trunk.identity.v1.IdentityService/ListPublicKeys": Row(OK),
    "trunk.policy.v1.CallStateService/GetCallState": Row(OK),
    "trunk.event.v1.EventLogService/ListEvents": Row(ACCESS_DENIED, {"topic": "tranlog"}),
    "trunk.event.v1.EventLogService/GetEvent": Row("NOT_FOUND trunk.event/EVENT_UNKNOWN", {"event_id": "nobodys"}),
    "trunk.event.v1.EventLogService/GetEventLogState": Row(OK),
    "trunk.event.v1.ConsumerService/GetConsumerState": Row(OK),
    "trunk.event.v1.ConsumerService/GetDeliveryState": Row(ACCESS_DENIED, _EVENT),
    "trunk.event.v1.ConsumerService/ListDeadLetters": Row(OK),
    "trunk.event.v1.ConsumerService/GetDeadLetter": Row("NOT_FOUND trunk.event/DEAD_LETTER_UNKNOWN", {"id": 1}),
    "trunk.event.v1.ConsumerService/RedriveDeadLetters": Row(OK),
    "trunk.event.v1.ConsumerService/ListParkedEvents": Row(OK),
    "trunk.event.v1.ConsumerService/ReplayEvents": Row(OK, {"topic": "tranlog"}),
    "pos.item.v1.CategoryService/CreateCategory": Row(OK, {"category": {}}, turn=CREATE),
    "pos.item.v1.CategoryService/BatchCreateCategories": Row(
        "ALREADY_EXISTS pos.item/CATEGORY_EXISTS", {"categories": [{}]}, turn=CREATE
    ),
    "pos.item.v1.CategoryService/GetCategory": Row(NO_CATEGORY),
    "pos.item.v1.CategoryService/ListCategories": Row(OK),
    "pos.item.v1.ItemService/CreateItem": Row(OK, {"item": _ITEM}, turn=CREATE),
    "pos.item.v1.ItemService/BatchCreateItems": Row(
        "ALREADY_EXISTS pos.item/ITEM_EXISTS", {"items": [_ITEM]}, turn=CREATE
    ),
    "pos.item.v1.ItemService/GetItem": Row(NO_ITEM),
    "pos.item.v1.ItemService/BatchGetItems": Row(OK),
    "pos.item.v1.ItemService/ListItems": Row(OK),
    "pos.item.v1.ItemService/UpdateItem": Row(NO_ITEM, {"tax_code": LEAVE, "image_url": LEAVE}),
    "pos.item.v1.ItemService/DeleteItem": Row(NO_ITEM),
    "pos.item.v1.ItemService/SetStorePrice": Row(NO_ITEM, {"price": YEN}),
    "pos.item.v1.TaxService/GetTax": Row(OK, {"tax_code": "00"}),
    "pos.item.v1.TaxService/ListTaxes": Row(OK),
    "pos.payment.v1.PaymentMethodService/CreatePaymentMethod": Row(OK, {"payment_method": _METHOD}, turn=CREATE),
    "pos.payment.v1.PaymentMethodService/GetPaymentMethod": Row(NO_METHOD),
    "pos.payment.v1.PaymentMethodService/ListPaymentMethods": Row(OK),
    "pos.payment.v1.PaymentMethodService/UpdatePaymentMethod": Row(NO_METHOD),
    "pos.store.v1.StoreService/CreateStore": Row(OK, {"store": {"time_zone": "Asia/Tokyo"}}, turn=CREATE),
    "pos.store.v1.StoreService/GetStore": Row("NOT_FOUND pos.store/STORE_NOT_FOUND"),
    "pos.store.v1.StoreService/ListStores": Row(OK),
    "pos.store.v1.StaffService/CreateStaff": Row(OK, {"pin": PIN, "roles": ["cashier"]}, turn=CREATE),
    "pos.store.v1.StaffService/GetStaff": Row(NO_STAFF),
    "pos.store.v1.StaffService/ListStaff": Row(OK),
    "pos.store.v1.StaffService/UpdateStaff": Row(NO_STAFF),
    "pos.store.v1.StaffService/VerifyStaffPin": Row("PERMISSION_DENIED pos.store/PIN_REFUSED", {"pin": PIN}),
    "pos.store.v1.SettingsService/PutSetting": Row(OK, {"key": "receipt_header"}),
    "pos.store.v1.SettingsService/GetSetting": Row(OK, {"key": "receipt_header"}),
    "pos.store.v1.SettingsService/ListSettings": Row(OK),
    "pos.terminal.v1.TerminalService/CreateTerminal": Row(OK, turn=CREATE),
    "pos.terminal.v1.TerminalService/GetTerminal": Row("NOT_FOUND pos.terminal/TERMINAL_NOT_FOUND"),
    "pos.terminal.v1.TerminalService/ListTerminals": Row(OK),
    "pos.terminal.v1.TerminalService/SignIn": Row(
        "PERMISSION_DENIED pos.terminal/PIN_REFUSED", {"pin": PIN}, timed=True
    ),
    "pos.terminal.v1.TerminalService/SetFunctionMode": Row(OK, {"function_mode": "FUNCTION_MODE_CLOSE"}, turn=END),
    "pos.terminal.v1.TerminalService/CloseTerminal": Row(
        "FAILED_PRECONDITION pos.terminal/CARTS_UNFINISHED", {"counted_cash": YEN}, turn=END
    ),
    "pos.terminal.v1.TerminalService/SignOut": Row(OK, turn=END),
    "pos.terminal.v1.TerminalService/OpenTerminal": Row(
        "FAILED_PRECONDITION pos.terminal/STAFF_NOT_SIGNED_IN", {"business_date": DATE, "initial_float": YEN}, turn=END
    ),
    "pos.terminal.v1.TerminalService/RecordCashMovement": Row(
        OK, {"kind": "CASH_MOVEMENT_KIND_CASH_IN", "amount": YEN}
    ),
    "pos.terminal.v1.TerminalService/ListOpenings": Row(OK, {"business_date": DATE}),
    "pos.cart.v1.CartService/CreateCart": Row(OK),
    "pos.cart.v1.CartService/GetCart": Row(NO_CART),
    "pos.cart.v1.CartService/AddLines": Row(NO_CART, {"lines": [{"quantity": 2}]}),
    "pos.cart.v1.CartService/ChangeLineQuantity": Row(NO_CART, {"line_no": 1, "quantity": 3}),
    "pos.cart.v1.CartService/CancelLine": Row(NO_CART, {"line_no": 1}),
    "pos.cart.v1.CartService/SubtotalCart": Row(NO_CART),
    "pos.cart.v1.CartService/AddPayment": Row("NOT_FOUND pos.cart/PAYMENT_METHOD_NOT_FOUND", {"deposit": YEN}),
    "pos.cart.v1.CartService/ResumeCart": Row(NO_CART),
    "pos.cart.v1.CartService/FinalizeCart": Row(NO_CART),
    "pos.cart.v1.CartService/CancelCart": Row(NO_CART),
    "pos.cart.v1.TransactionService/GetTransaction": Row(NO_TRANSACTION),
    "pos.cart.v1.TransactionService/ListTransactions": Row(OK),
    "pos.cart.v1.TransactionService/VoidTransaction": Row(NO_TRANSACTION, _REFUND),
    "pos.cart.v1.TransactionService/ReturnTransaction": Row("NOT_FOUND pos.cart/PAYMENT_METHOD_NOT_FOUND", _REFUND),
    "pos.cart.v1.TransactionService/SealOpening": Row(OK, {"business_counter": 1}),
    "pos.cart.v1.TransactionService/GetDelivery": Row(NO_TRANSACTION),
    "pos.report.v1.ReportService/GetSalesReport": Row(OK, {"kind": "REPORT_KIND_FLASH", "business_date": DATE}),
    "pos.report.v1.ReportService/IssueSalesReport": Row(OK, {"kind": "REPORT_KIND_FLASH"}, turn=SUM),
    "pos.journal.v1.JournalService/ListEntries": Row(OK, _NUMBERS),
    "pos.journal.v1.JournalService/GetEntry": Row("NOT_FOUND pos.journal/ENTRY_NOT_FOUND"),
    "pos.stock.v1.StockService/GetStock": Row(OK),
    "pos.stock.v1.StockService/ListStock": Row(OK),
    "pos.stock.v1.StockService/RecordMovement": Row(
        "NOT_FOUND pos.stock/ITEM_NOT_FOUND", {"kind": "KIND_PURCHASE", "quantity": 5}
    ),
    "pos.stock.v1.StockService/ListMovements": Row(OK),
}
"""All of them, by the name of the rpc."""

HOW_TO_ADD = (
    "{name} is not covered: give it a row in tests/faults/isolation/rows.py that says how a call ends which names"
    " another tenant's things; what A must have done for it to show something goes to story.py"
)
WHAT_TO_FILL = (
    "{name}: nobody fills {fields}: give A one in tests/faults/isolation/names.py and story.py, or say in the row of"
    " rows.py what stands there"
)
