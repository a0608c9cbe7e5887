"""Items, categories and taxes, and what an item costs in a store."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.failure import AlreadyExists, InvalidInput, NotFound, WrongState
from services.kernel.tax_kind import TaxKind


@dataclass(frozen=True, slots=True)
class Category:
    """A group of items."""

    category_code: str
    """Code in the tenant."""
    description: str
    """For reports and screens."""


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax that items are sold with."""

    tax_code: str
    """Code in the tenant."""
    kind: TaxKind
    """How it relates to prices."""
    rate_bps: int
    """Rate in basis points."""


DEFAULT_TAXES = {
    tax.tax_code: tax
    for tax in (
        Tax("00", TaxKind.EXEMPT, 0),
        Tax("01", TaxKind.EXTERNAL, 1000),
        Tax("02", TaxKind.INTERNAL, 1000),
        Tax("11", TaxKind.EXTERNAL, 800),
        Tax("12", TaxKind.INTERNAL, 800),
    )
}
"""The taxes every tenant has, by code (domain rule 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a tenant sells: the common record of all its stores."""

    item_code: str
    """Code in the tenant."""
    description: str
    """For receipts and screens."""
    unit_price: int
    """Minor units for one, where neither line nor store names another price."""
    category_code: str
    """Category it belongs to."""
    tax_code: str
    """Tax it is sold with."""
    discount_restricted: bool = False
    """No discount applies to it."""
    image_url: str = ""
    """Address of a picture."""
    detail: str = ""
    """Text for who wants to know more."""
    deleted: bool = False
    """It cannot be sold any more; old transactions still name it."""


def charged_price(item: Item, store_price: int | None) -> int:
    """Price of one unit in a store. Presence decides: a store price of 0 is a price of 0."""
    return item.unit_price if store_price is None else store_price


def tax_of(tax_code: str) -> Tax:
    """The tax of this code; NotFound / TAX_NOT_FOUND."""
    if tax_code not in DEFAULT_TAXES:
        raise NotFound("TAX_NOT_FOUND", "there is no such tax", tax_code=tax_code)
    return DEFAULT_TAXES[tax_code]


def check_references(item: Item, known_categories: set[str]) -> None:
    """Refuses an item whose category or tax does not exist."""
    if item.category_code not in known_categories:
        raise category_missing(item.category_code)
    tax_of(item.tax_code)


def check_changeable(item: Item) -> None:
    """Refuses a change of a deleted item."""
    if item.deleted:
        raise WrongState("ITEM_DELETED", "a deleted item cannot be changed", item_code=item.item_code)


def check_distinct(codes: list[str], field: str) -> None:
    """Refuses a batch that has a code twice."""
    seen: set[str] = set()
    for code in codes:
        if code in seen:
            raise InvalidInput("CODE_REPEATED", "the batch has this code twice", **{field: code})
        seen.add(code)


def check_free(codes: list[str], taken: set[str], reason: str, field: str) -> None:
    """Refuses codes that are taken; the first of them is named."""
    for code in codes:
        if code in taken:
            raise AlreadyExists(reason, "the code is taken", **{field: code})


def item_missing(item_code: str) -> NotFound:
    """There is no such item."""
    return NotFound("ITEM_NOT_FOUND", "there is no such item", item_code=item_code)


def category_missing(category_code: str) -> NotFound:
    """There is no such category."""
    return NotFound("CATEGORY_NOT_FOUND", "there is no such category", category_code=category_code)
