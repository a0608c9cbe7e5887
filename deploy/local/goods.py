"""What the demo shop is: a store, its goods, the ways to pay and the people. Data only."""

from __future__ import annotations

from dataclasses import dataclass

TENANT_ID = "demo"
"""Tenant of the demo shop."""
CURRENCY = "JPY"
"""Its currency; amounts are whole yen."""
STORE_CODE = "0001"
"""Its only store."""
TIME_ZONE = "Asia/Tokyo"
"""Time zone of the store."""
INITIAL_FLOAT = 50_000
"""Cash in each drawer in the morning, in yen."""
INITIAL_STOCK = 100_000
"""Units of each item when the shop was opened."""


@dataclass(frozen=True, slots=True)
class Good:
    """An item of the demo shop."""

    item_code: str
    """Code of the item."""
    description: str
    """Name of it."""
    price: int
    """Price of one unit, in yen."""
    category: str
    """Category it belongs to."""
    tax_code: str
    """Tax it is sold with."""


@dataclass(frozen=True, slots=True)
class Tender:
    """A way to pay."""

    code: str
    """Code of it."""
    description: str
    """Name of it."""
    kind: str
    """CASH, CASHLESS or OTHER."""
    over: bool = False
    """More than is due may be handed over."""
    change: bool = False
    """The excess is given back."""
    refund: bool = True
    """A return may be paid with it."""
    limit: int = 0
    """The most one deposit may be, in yen; 0 none."""


CATEGORIES = {"food": "Food", "drink": "Drinks", "home": "Household", "print": "Books and papers", "card": "Gift cards"}
"""Category code → description."""

GOODS = (
    Good("4901", "Rice ball, salmon", 168, "food", "11"),
    Good("4902", "Boxed lunch", 598, "food", "11"),
    Good("4903", "Sandwich, egg", 298, "food", "12"),
    Good("4904", "Bananas", 198, "food", "12"),
    Good("4905", "Green tea 500 ml", 138, "drink", "11"),
    Good("4906", "Coffee, can", 130, "drink", "12"),
    Good("4907", "Beer 350 ml", 245, "drink", "01"),
    Good("4908", "Dish soap", 348, "home", "01"),
    Good("4909", "Light bulb", 1_280, "home", "02"),
    Good("4910", "Weekly magazine", 450, "print", "02"),
    Good("4911", "Umbrella", 2_200, "home", "01"),
    Good("4912", "Gift card 1,000", 1_000, "card", "00"),
)
"""What it sells: every kind of tax is among them."""

TENDERS = (
    Tender("cash", "Cash", "CASH", over=True, change=True),
    Tender("card", "Credit card", "CASHLESS"),
    Tender("code", "Payment code", "CASHLESS", limit=100_000),
    Tender("voucher", "Voucher 500", "OTHER", over=True, refund=False, limit=500),
)
"""How one can pay there."""

STAFF = ("Aoki", "Baba", "Chiba", "Doi")
"""Who works there, one at each terminal; `s1` is the first."""
