"""The chain of stores that a replay trades in: a tenant of its own, with items, stores, terminals and one person."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pos.account.v1 import account_service_pb2 as account_pb
from pos.account.v1.account_service_pb2_grpc import AccountServiceStub
from pos.account.v1.api_key_pb2 import ApiKey
from pos.account.v1.tenant_pb2 import Tenant
from pos.item.v1 import category_service_pb2, item_service_pb2
from pos.item.v1.category_pb2 import Category
from pos.item.v1.category_service_pb2_grpc import CategoryServiceStub
from pos.item.v1.item_pb2 import Item
from pos.item.v1.item_service_pb2_grpc import ItemServiceStub
from pos.payment.v1 import payment_method_service_pb2 as payment_pb
from pos.payment.v1.payment_method_pb2 import PaymentMethod
from pos.payment.v1.payment_method_service_pb2_grpc import PaymentMethodServiceStub
from pos.store.v1 import staff_service_pb2 as staff_pb
from pos.store.v1 import store_service_pb2 as store_pb
from pos.store.v1.staff_service_pb2_grpc import StaffServiceStub
from pos.store.v1.store_pb2 import Store
from pos.store.v1.store_service_pb2_grpc import StoreServiceStub
from pos.terminal.v1 import terminal_service_pb2 as terminal_pb
from pos.terminal.v1.terminal_service_pb2_grpc import TerminalServiceStub
from pos.type.v1.money_pb2 import Money
from pos.type.v1.tender_kind_pb2 import TENDER_KIND_CASH
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

from deploy.local.baskets import Product, Week
from deploy.local.bootstrap import root_credential
from deploy.local.calls import Caller, surely, together

CURRENCY = "USD"
"""Currency of the source."""
TAX_CODE = "00"
"""Nothing is taxed: the source's prices say nothing of it."""
TENDER = "cash"
"""How everything is paid."""
TERMINAL_NO = 1
"""The terminal of each store."""
STAFF_ID = "replay"
"""Who works at all of them."""
_BATCH = 500
_AT_ONCE = 8
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chain:
    """Who can act in the tenant. Credentials are kept in memory only: the next replay has a tenant of its own."""

    admin: str
    """Credential of the back office."""
    terminals: dict[str, str]
    """Store → credential of its terminal."""
    staff_id: str
    """Who signs in."""
    pin: str
    """With which PIN."""


async def open_chain(system: RunningSystem, settings: PlatformSettings, week: Week, tenant_id: str) -> Chain:
    """Makes the tenant and all it needs to sell a week."""
    admin = await _tenant(system, settings, tenant_id)
    pin = f"{secrets.randbelow(10**6):06}"
    async with Caller.of(system, settings, admin) as caller:
        await _items(caller, week.products)
        await _people_and_tender(caller, pin)
        stores = sorted({day.store_code for day in week.days})
        credentials = await _each(stores, lambda store: _store(caller, store))
    return Chain(admin, dict(zip(stores, credentials, strict=True)), STAFF_ID, pin)


async def _tenant(system: RunningSystem, settings: PlatformSettings, tenant_id: str) -> str:
    async with Caller.from_file(system, settings, root_credential(settings.var_dir)) as root:
        accounts = AccountServiceStub(root.channel("account"))
        tenant = Tenant(tenant_id=tenant_id, name="Replay", currency_code=CURRENCY)
        await _once(accounts.CreateTenant, account_pb.CreateTenantRequest(tenant=tenant))
        request = account_pb.CreateApiKeyRequest(kind=ApiKey.KIND_ADMIN, tenant_id=tenant_id, description="replay")
        return str((await _once(accounts.CreateApiKey, request)).credential)


async def _items(caller: Caller, products: Sequence[Product]) -> None:
    categories = [Category(category_code=name, description=name) for name in sorted({one.category for one in products})]
    stub = CategoryServiceStub(caller.channel("item"))
    await _once(stub.BatchCreateCategories, category_service_pb2.BatchCreateCategoriesRequest(categories=categories))
    items = ItemServiceStub(caller.channel("item"))
    batches = [products[start : start + _BATCH] for start in range(0, len(products), _BATCH)]
    await _each(
        batches,
        lambda batch: _once(
            items.BatchCreateItems, item_service_pb2.BatchCreateItemsRequest(items=[_item(one) for one in batch])
        ),
    )


def _item(product: Product) -> Item:
    return Item(
        item_code=product.item_code,
        description=product.description,
        # Every line names its own price.
        unit_price=Money(currency_code=CURRENCY, minor_units=0),
        category_code=product.category,
        tax_code=TAX_CODE,
    )


async def _people_and_tender(caller: Caller, pin: str) -> None:
    staff = StaffServiceStub(caller.channel("store"))
    await _once(staff.CreateStaff, staff_pb.CreateStaffRequest(staff_id=STAFF_ID, name="Replay", pin=pin))
    method = PaymentMethod(payment_method_code=TENDER, description="Cash", kind=TENDER_KIND_CASH, active=True)
    methods = PaymentMethodServiceStub(caller.channel("payment"))
    await _once(methods.CreatePaymentMethod, payment_pb.CreatePaymentMethodRequest(payment_method=method))


async def _store(caller: Caller, store_code: str) -> str:
    store = Store(store_code=store_code, name=f"Store {store_code}", time_zone="UTC")
    stores = StoreServiceStub(caller.channel("store"))
    await _once(stores.CreateStore, store_pb.CreateStoreRequest(store=store))
    terminals = TerminalServiceStub(caller.channel("terminal"))
    request = terminal_pb.CreateTerminalRequest(store_code=store_code, terminal_no=TERMINAL_NO)
    await _once(terminals.CreateTerminal, request)
    key = account_pb.CreateApiKeyRequest(kind=ApiKey.KIND_TERMINAL, store_code=store_code, terminal_no=TERMINAL_NO)
    return str((await _once(AccountServiceStub(caller.channel("account")).CreateApiKey, key)).credential)


async def _once(method: Callable[..., Awaitable[Any]], request: Any) -> Any:
    return await surely(method, request, key=f"replay/{secrets.token_hex(16)}")


async def _each(things: Sequence[T], work: Callable[[T], Awaitable[Any]]) -> list[Any]:
    """Does the work for each, a few at once."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(thing: T) -> Any:
        async with turn:
            return await work(thing)

    return await together(*(one(thing) for thing in things))
