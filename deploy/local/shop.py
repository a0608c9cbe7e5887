"""Opens the demo shop, or finds it: everything is made once, however often this runs."""

from __future__ import annotations

import secrets
from pathlib import Path

from google.protobuf.message import Message
from pos.account.v1 import account_service_pb2 as account_pb
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
from pos.stock.v1 import stock_service_pb2 as stock_pb
from pos.stock.v1.stock_pb2 import Movement
from pos.stock.v1.stock_service_pb2_grpc import StockServiceStub
from pos.store.v1 import staff_service_pb2 as staff_pb
from pos.store.v1 import store_service_pb2 as store_pb
from pos.store.v1.staff_service_pb2_grpc import StaffServiceStub
from pos.store.v1.store_pb2 import Store
from pos.store.v1.store_service_pb2_grpc import StoreServiceStub
from pos.terminal.v1 import terminal_service_pb2 as terminal_pb
from pos.terminal.v1.terminal_service_pb2_grpc import TerminalServiceStub
from pos.type.v1.money_pb2 import Money
from pos.type.v1.tender_kind_pb2 import TenderKind
from trunkline.auth.files import write_private
from trunkline.errors import ServiceError
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

from deploy.local import goods
from deploy.local.bootstrap import Credentials, bootstrap, ensure, fixed_key
from deploy.local.calls import Caller, surely
from deploy.local.system import ADMIN, TERMINALS, credentials_dir


async def open_shop(system: RunningSystem, settings: PlatformSettings) -> None:
    """Makes everything the demo shop needs and does not have yet."""
    tenant = Tenant(tenant_id=goods.TENANT_ID, name="Demo shop", currency_code=goods.CURRENCY, language_code="en")
    await bootstrap(system, settings, tenant, ADMIN)
    async with admin(system, settings) as caller:
        await _master_data(caller)
        await _people(caller, settings.var_dir)
        await _terminals(caller, settings.var_dir)
        await _stock(caller)


def admin(system: RunningSystem, settings: PlatformSettings) -> Caller:
    """The back office of the demo shop."""
    return Caller.from_file(system, settings, credentials_dir(settings.var_dir) / ADMIN)


def staff_id(terminal_no: int) -> str:
    """Who works at a terminal."""
    return f"s{terminal_no}"


def pin_file(var_dir: Path, staff: str) -> Path:
    """File with the PIN of a staff member, made at the first start: there are no default secrets."""
    return credentials_dir(var_dir) / f"pin-{staff}"


def money(minor_units: int) -> Money:
    """An amount in the demo shop's currency."""
    return Money(currency_code=goods.CURRENCY, minor_units=minor_units)


async def _master_data(caller: Caller) -> None:
    stores = StoreServiceStub(caller.channel("store"))
    store = Store(store_code=goods.STORE_CODE, name="Demo store", time_zone=goods.TIME_ZONE)
    await ensure("store", stores.CreateStore, store_pb.CreateStoreRequest(store=store))
    categories = CategoryServiceStub(caller.channel("item"))
    for code, description in goods.CATEGORIES.items():
        category = Category(category_code=code, description=description)
        request: Message = category_service_pb2.CreateCategoryRequest(category=category)
        await ensure(f"category/{code}", categories.CreateCategory, request)
    items = ItemServiceStub(caller.channel("item"))
    for good in goods.GOODS:
        await ensure(f"item/{good.item_code}", items.CreateItem, item_service_pb2.CreateItemRequest(item=_item(good)))
    methods = PaymentMethodServiceStub(caller.channel("payment"))
    for tender in goods.TENDERS:
        request = payment_pb.CreatePaymentMethodRequest(payment_method=_payment_method(tender))
        await ensure(f"payment/{tender.code}", methods.CreatePaymentMethod, request)


def _item(good: goods.Good) -> Item:
    return Item(
        item_code=good.item_code,
        description=good.description,
        unit_price=money(good.price),
        category_code=good.category,
        tax_code=good.tax_code,
    )


def _payment_method(tender: goods.Tender) -> PaymentMethod:
    return PaymentMethod(
        payment_method_code=tender.code,
        description=tender.description,
        kind=TenderKind.Value(f"TENDER_KIND_{tender.kind}"),
        can_refund=tender.refund,
        can_deposit_over=tender.over,
        can_change=tender.change,
        limit_amount=money(tender.limit) if tender.limit else None,
        active=True,
    )


async def _people(caller: Caller, var_dir: Path) -> None:
    stub = StaffServiceStub(caller.channel("store"))
    for terminal_no, name in enumerate(goods.STAFF, start=1):
        staff = staff_id(terminal_no)
        path = pin_file(var_dir, staff)
        if not path.exists():
            write_private(path, f"{secrets.randbelow(10**6):06}\n".encode())
        pin = path.read_text().strip()
        request = staff_pb.CreateStaffRequest(staff_id=staff, name=name, pin=pin, roles=["cashier"])
        try:
            # The key does not depend on the PIN: keys are no place for secrets.
            await surely(stub.CreateStaff, request, key=f"bootstrap/staff/{staff}")
        except ServiceError as error:
            if error.reason not in {"STAFF_EXISTS", "IDEMPOTENCY_KEY_REUSED"}:
                raise
            await surely(stub.UpdateStaff, staff_pb.UpdateStaffRequest(staff_id=staff, pin=pin, active=True))


async def _terminals(caller: Caller, var_dir: Path) -> None:
    stub = TerminalServiceStub(caller.channel("terminal"))
    credentials = Credentials(caller, credentials_dir(var_dir))
    for number in range(1, TERMINALS + 1):
        request = terminal_pb.CreateTerminalRequest(
            store_code=goods.STORE_CODE, terminal_no=number, description=f"Till {number}"
        )
        await ensure(f"terminal/{number}", stub.CreateTerminal, request)
        key = account_pb.CreateApiKeyRequest(
            kind=ApiKey.KIND_TERMINAL, store_code=goods.STORE_CODE, terminal_no=number, description=f"till {number}"
        )
        await credentials.ensure(f"terminal-{number}", key)


async def _stock(caller: Caller) -> None:
    stub = StockServiceStub(caller.channel("stock"))
    for good in goods.GOODS:
        look = stock_pb.ListMovementsRequest(store_code=goods.STORE_CODE, item_code=good.item_code, page_size=1)
        if (await surely(stub.ListMovements, look)).movements:
            continue
        request = stock_pb.RecordMovementRequest(
            store_code=goods.STORE_CODE,
            item_code=good.item_code,
            kind=Movement.KIND_INITIAL,
            quantity=goods.INITIAL_STOCK,
            comment="opening of the shop",
        )
        await surely(stub.RecordMovement, request, key=fixed_key(f"stock/{good.item_code}", request))
