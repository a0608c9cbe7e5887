"""Tenants beside the demo shop: each test opens a store of its own in one, so that no test meets another's carts."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.bootstrap import Credentials, bootstrap, ensure
from deploy.local.calls import Caller
from deploy.local.ledger import Ledger, Transaction
from deploy.local.sale import Line, Sale
from deploy.local.shop import admin, pin_file
from deploy.local.system import ADMIN, credentials_dir
from deploy.local.till import Till
from pos.account.v1.account_service_pb2 import CreateApiKeyRequest
from pos.account.v1.api_key_pb2 import ApiKey
from pos.account.v1.tenant_pb2 import Tenant
from pos.cart.v1.cart_service_pb2_grpc import CartServiceStub
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.item.v1 import category_service_pb2, item_service_pb2
from pos.item.v1.category_pb2 import Category
from pos.item.v1.category_service_pb2_grpc import CategoryServiceStub
from pos.item.v1.item_pb2 import Item
from pos.item.v1.item_service_pb2_grpc import ItemServiceStub
from pos.journal.v1.journal_service_pb2_grpc import JournalServiceStub
from pos.payment.v1.payment_method_pb2 import PaymentMethod
from pos.payment.v1.payment_method_service_pb2 import CreatePaymentMethodRequest
from pos.payment.v1.payment_method_service_pb2_grpc import PaymentMethodServiceStub
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.store.v1.staff_service_pb2 import CreateStaffRequest
from pos.store.v1.staff_service_pb2_grpc import StaffServiceStub
from pos.store.v1.store_pb2 import Store
from pos.store.v1.store_service_pb2 import CreateStoreRequest
from pos.store.v1.store_service_pb2_grpc import StoreServiceStub
from pos.terminal.v1.terminal_service_pb2 import CreateTerminalRequest
from pos.terminal.v1.terminal_service_pb2_grpc import TerminalServiceStub
from pos.type.v1.money_pb2 import Money
from pos.type.v1.tender_kind_pb2 import TENDER_KIND_CASH, TENDER_KIND_CASHLESS
from trunkline.auth.files import write_private

from tests.shop.running import RunningShop

CURRENCY = "JPY"
TEA, SOAP = "tea", "soap"
PRICES = {TEA: 100, SOAP: 250}
"""What every tenant sells, untaxed."""
STAFF = "s1"
"""Who works at all terminals."""


def yen(minor_units: int) -> Money:
    """An amount."""
    return Money(currency_code=CURRENCY, minor_units=minor_units)


@dataclass(frozen=True)
class Counter:
    """A terminal of a tenant's store, and all that can be asked through it."""

    caller: Caller
    """The terminal."""
    till: Till
    """What one does there."""
    store_code: str
    """Its store."""
    ledger: Ledger = field(default_factory=Ledger)
    """What it was answered."""

    def __post_init__(self) -> None:
        self.__dict__["carts"] = CartServiceStub(self.caller.channel("cart"))

    @property
    def carts(self) -> CartServiceStub:
        return self.__dict__["carts"]
