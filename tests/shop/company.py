"""Tenants beside the demo shop: each test opens a store of its own in one, so that no test meets another's carts."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

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

from deploy.local.bootstrap import Credentials, bootstrap, ensure
from deploy.local.calls import Caller
from deploy.local.ledger import Ledger, Transaction
from deploy.local.sale import Line, Sale
from deploy.local.system import ADMIN, credentials_dir
from deploy.local.till import Till
from tests.services.callers import refusal
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


async def refused(call: Awaitable[Any]) -> str:
    """Code, domain and reason of a refusal; the test fails if there is none."""
    code, reason, _ = await refusal(call)
    return f"{code} {reason}"


class Counter:
    """A terminal of a tenant's store, and all that is done and asked there."""

    def __init__(self, caller: Caller, store_code: str, terminal_no: int, pin: str) -> None:
        self.store_code = store_code
        """Its store."""
        self.terminal_no = terminal_no
        """Its number there."""
        self.caller = caller
        """Who calls."""
        self.ledger = Ledger()
        """What it was answered."""
        self.till = Till(caller, store_code, terminal_no, CURRENCY, self.ledger)
        """What one does there."""
        self.carts = CartServiceStub(caller.channel("cart"))
        self.transactions = TransactionServiceStub(caller.channel("cart"))
        self.terminals = TerminalServiceStub(caller.channel("terminal"))
        self.reports = ReportServiceStub(caller.channel("report"))
        self._pin = pin

    async def open(self) -> None:
        """Signs in and opens."""
        await self.till.sign_in(STAFF, self._pin)
        await self.till.open(1_000)

    async def paying(self, quantity: int = 2) -> Sale:
        """A cart that is paid and only to be finished."""
        sale = await self.till.new_sale()
        await sale.add([Line(TEA, quantity), Line(SOAP, 1)])
        await sale.pay("cash", await sale.subtotal())
        return sale

    async def sell(self, quantity: int = 2) -> Transaction:
        """A sale."""
        return await self.till.finish(await self.paying(quantity))


class Company:
    """A tenant, its back office, and the people and things it works with."""

    def __init__(self, shop: RunningShop, tenant_id: str, stack: AsyncExitStack) -> None:
        self.shop = shop
        """Where it runs."""
        self.tenant_id = tenant_id
        """The tenant."""
        self.office: Caller
        """Its back office."""
        self._stack = stack

    @property
    def folder(self) -> Path:
        """Where its secrets stand."""
        return credentials_dir(self.shop.var_dir) / self.tenant_id

    @property
    def _pin(self) -> str:
        return (self.folder / "pin").read_text()

    async def found(self) -> None:
        """Makes what it needs and does not have yet."""
        tenant = Tenant(tenant_id=self.tenant_id, name=self.tenant_id, currency_code=CURRENCY, language_code="en")
        name = f"{ADMIN}-{self.tenant_id}"
        await bootstrap(self.shop.system, self.shop.settings, tenant, name)
        self.office = await self._caller(credentials_dir(self.shop.var_dir) / name)
        if not self.folder.exists():
            write_private(self.folder / "pin", f"{secrets.randbelow(10**12):012}".encode())
        await self._goods()
        await self._tenders()
        staff = StaffServiceStub(self.office.channel("store"))
        request = CreateStaffRequest(staff_id=STAFF, name="Endo", pin=self._pin, roles=["cashier"])
        await ensure("staff", staff.CreateStaff, request)

    async def counter(self, store_code: str, terminal_no: int = 1, time_zone: str = "Asia/Tokyo") -> Counter:
        """A terminal of one of its stores; both are made unless they are there."""
        stores = StoreServiceStub(self.office.channel("store"))
        store = Store(store_code=store_code, name=store_code, time_zone=time_zone)
        await ensure("store", stores.CreateStore, CreateStoreRequest(store=store))
        terminals = TerminalServiceStub(self.office.channel("terminal"))
        terminal = CreateTerminalRequest(store_code=store_code, terminal_no=terminal_no, description="Till")
        await ensure("terminal", terminals.CreateTerminal, terminal)
        key = CreateApiKeyRequest(kind=ApiKey.KIND_TERMINAL, store_code=store_code, terminal_no=terminal_no)
        name = f"{store_code}-{terminal_no}"
        await Credentials(self.office, self.folder).ensure(name, key)
        return Counter(await self._caller(self.folder / name), store_code, terminal_no, self._pin)

    async def _caller(self, credential: Path) -> Caller:
        caller = Caller.from_file(self.shop.system, self.shop.settings, credential)
        return await self._stack.enter_async_context(caller)

    async def _goods(self) -> None:
        categories = CategoryServiceStub(self.office.channel("item"))
        category = Category(category_code="all", description="All")
        request = category_service_pb2.CreateCategoryRequest(category=category)
        await ensure("category", categories.CreateCategory, request)
        items = ItemServiceStub(self.office.channel("item"))
        for code, price in PRICES.items():
            item = Item(item_code=code, description=code, unit_price=yen(price), category_code="all", tax_code="00")
            await ensure(f"item/{code}", items.CreateItem, item_service_pb2.CreateItemRequest(item=item))

    async def _tenders(self) -> None:
        methods = PaymentMethodServiceStub(self.office.channel("payment"))
        cash = PaymentMethod(
            payment_method_code="cash", description="Cash", kind=TENDER_KIND_CASH, active=True,
            can_refund=True, can_deposit_over=True, can_change=True,
        )  # fmt: skip
        card = PaymentMethod(
            payment_method_code="card", description="Card", kind=TENDER_KIND_CASHLESS, active=True, can_refund=True
        )
        for method in (cash, card):
            request = CreatePaymentMethodRequest(payment_method=method)
            await ensure(f"payment/{method.payment_method_code}", methods.CreatePaymentMethod, request)


@asynccontextmanager
async def company(shop: RunningShop, tenant_id: str) -> AsyncIterator[Company]:
    """A tenant, for the length of a block; what it has made stays."""
    async with AsyncExitStack() as stack:
        found = Company(shop, tenant_id, stack)
        await found.found()
        yield found
