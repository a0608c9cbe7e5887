"""What a shop has: items, payment methods, stores and somebody to sign in."""

from __future__ import annotations

from pos.item.v1 import category_service_pb2, category_service_pb2_grpc, item_service_pb2, item_service_pb2_grpc
from pos.item.v1.category_pb2 import Category
from pos.item.v1.item_pb2 import Item
from pos.payment.v1 import payment_method_service_pb2 as method_pb
from pos.payment.v1 import payment_method_service_pb2_grpc as method_grpc
from pos.payment.v1.payment_method_pb2 import PaymentMethod
from pos.store.v1 import staff_service_pb2, staff_service_pb2_grpc, store_service_pb2, store_service_pb2_grpc
from pos.store.v1.store_pb2 import Store
from pos.type.v1.money_pb2 import Money
from pos.type.v1.tender_kind_pb2 import TENDER_KIND_CASH, TENDER_KIND_CASHLESS, TENDER_KIND_OTHER
from trunkline.testing.local import LocalSystem

from tests.services.callers import admin

PIN = "1234"
TAXED = {"A": (100, "01"), "B": (200, "02"), "C": (999, "00"), "D": (999, "11"), "E": (999, "12")}
"""Price and tax code of items; each tax code once."""
STORE_PRICES = {"S": 80, "Z": 0}
"""Prices in store 0001 of items that cost 100 elsewhere."""


def yen(minor_units: int) -> Money:
    """An amount in the tenant's currency."""
    return Money(currency_code="JPY", minor_units=minor_units)


CASH = PaymentMethod(
    payment_method_code="cash", description="Cash", kind=TENDER_KIND_CASH, active=True,
    can_refund=True, can_deposit_over=True, can_change=True,
)  # fmt: skip
CARD = PaymentMethod(
    payment_method_code="card", description="Card", kind=TENDER_KIND_CASHLESS, active=True, can_refund=True
)
VOUCHER = PaymentMethod(
    payment_method_code="voucher", description="Voucher", kind=TENDER_KIND_OTHER, active=True,
    can_deposit_over=True, limit_amount=yen(5000),
)  # fmt: skip
RETIRED = PaymentMethod(payment_method_code="retired", description="Cheque", kind=TENDER_KIND_OTHER, can_refund=True)


async def furnish(system: LocalSystem, tenant_id: str) -> None:
    """Gives a tenant everything a terminal needs to sell, in stores 0001 and 0002."""
    office = admin(system, tenant_id)
    await _stores(
        store_service_pb2_grpc.StoreServiceStub(office.channel("store")),
        staff_service_pb2_grpc.StaffServiceStub(office.channel("store")),
    )
    await _items(
        item_service_pb2_grpc.ItemServiceStub(office.channel("item")),
        category_service_pb2_grpc.CategoryServiceStub(office.channel("item")),
    )
    methods = method_grpc.PaymentMethodServiceStub(office.channel("payment"))
    for method in (CASH, CARD, VOUCHER, RETIRED):
        await methods.CreatePaymentMethod(method_pb.CreatePaymentMethodRequest(payment_method=method))


async def _stores(
    stores: store_service_pb2_grpc.StoreServiceAsyncStub, staff: staff_service_pb2_grpc.StaffServiceAsyncStub
) -> None:
    for store_code in ("0001", "0002"):
        store = Store(store_code=store_code, name="Ginza", time_zone="Asia/Tokyo")
        await stores.CreateStore(store_service_pb2.CreateStoreRequest(store=store))
    await staff.CreateStaff(staff_service_pb2.CreateStaffRequest(staff_id="s1", name="Aoki", pin=PIN))


async def _items(
    items: item_service_pb2_grpc.ItemServiceAsyncStub, categories: category_service_pb2_grpc.CategoryServiceAsyncStub
) -> None:
    food = Category(category_code="food", description="Food")
    await categories.CreateCategory(category_service_pb2.CreateCategoryRequest(category=food))
    goods = [_item(code, *values) for code, values in TAXED.items()]
    goods += [_item(code, 100, "00") for code in (*STORE_PRICES, "GONE")]
    await items.BatchCreateItems(item_service_pb2.BatchCreateItemsRequest(items=goods))
    await items.DeleteItem(item_service_pb2.DeleteItemRequest(item_code="GONE"))
    for code, price in STORE_PRICES.items():
        await items.SetStorePrice(
            item_service_pb2.SetStorePriceRequest(item_code=code, store_code="0001", price=yen(price))
        )


def _item(item_code: str, unit_price: int, tax_code: str) -> Item:
    return Item(
        item_code=item_code, description=f"Item {item_code}", unit_price=yen(unit_price), category_code="food",
        tax_code=tax_code,
    )  # fmt: skip
