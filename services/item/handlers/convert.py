"""Items between the wire and the domain."""

from __future__ import annotations

from pos.item.v1 import category_pb2, item_pb2, tax_pb2
from pos.type.v1 import tax_kind_pb2

from services.item.domain.item import DEFAULT_TAXES, Category, Item, Tax, charged_price
from services.wire.kinds import to_enum
from services.wire.money import from_money, tenant_currency, to_money


def from_item(message: item_pb2.Item) -> Item:
    """A new item as the caller describes it."""
    return Item(
        item_code=message.item_code,
        description=message.description,
        unit_price=from_money(message.unit_price),
        category_code=message.category_code,
        tax_code=message.tax_code,
        discount_restricted=message.discount_restricted,
        image_url=message.image_url,
        detail=message.detail,
    )


def to_item(item: Item, store_code: str | None = None, store_price: int | None = None) -> item_pb2.Item:
    """An item, with what a store says otherwise."""
    currency = tenant_currency()
    message = item_pb2.Item(
        item_code=item.item_code,
        description=item.description,
        unit_price=to_money(item.unit_price, currency),
        category_code=item.category_code,
        tax_code=item.tax_code,
        discount_restricted=item.discount_restricted,
        image_url=item.image_url,
        detail=item.detail,
        deleted=item.deleted,
    )
    if store_code is not None and store_price is not None:
        message.store_record.store_code = store_code
        message.store_record.price.CopyFrom(to_money(store_price, currency))
    return message


def to_priced_item(item: Item, store_price: int | None) -> item_pb2.PricedItem:
    """What a till needs to sell an item."""
    return item_pb2.PricedItem(
        item_code=item.item_code,
        description=item.description,
        charged_price=to_money(charged_price(item, store_price), tenant_currency()),
        category_code=item.category_code,
        tax=to_tax(DEFAULT_TAXES[item.tax_code]),
        discount_restricted=item.discount_restricted,
        deleted=item.deleted,
    )


def to_category(category: Category) -> category_pb2.Category:
    """A category."""
    return category_pb2.Category(category_code=category.category_code, description=category.description)


def from_category(message: category_pb2.Category) -> Category:
    """A new category as the caller describes it."""
    return Category(message.category_code, message.description)


def to_tax(tax: Tax) -> tax_pb2.Tax:
    """A tax."""
    kind = to_enum(tax_kind_pb2.TaxKind, tax.kind)
    return tax_pb2.Tax(tax_code=tax.tax_code, kind=kind, rate_bps=tax.rate_bps)
