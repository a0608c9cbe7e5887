"""Tables of the item service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""

CATEGORY = sa.Table(
    "category",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("category_code", sa.Text, primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
)

ITEM = sa.Table(
    "item",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("item_code", sa.Text, primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("unit_price", sa.BigInteger, nullable=False, comment="minor units"),
    sa.Column("category_code", sa.Text, nullable=False),
    sa.Column("tax_code", sa.Text, nullable=False),
    sa.Column("discount_restricted", sa.Boolean, nullable=False),
    sa.Column("image_url", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.ForeignKeyConstraint(["tenant_id", "category_code"], ["category.tenant_id", "category.category_code"]),
)

STORE_PRICE = sa.Table(
    "store_price",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("item_code", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("price", sa.BigInteger, nullable=False, comment="minor units"),
    sa.ForeignKeyConstraint(["tenant_id", "item_code"], ["item.tenant_id", "item.item_code"]),
)
