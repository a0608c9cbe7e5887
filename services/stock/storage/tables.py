"""Tables of the stock service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import Instant, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""

STOCK = sa.Table(
    "stock",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("item_code", sa.Text, primary_key=True),
    sa.Column("quantity", sa.BigInteger, nullable=False, comment="units; may be negative"),
    sa.Column("movement_no", sa.BigInteger, nullable=False, comment="number of the last movement"),
    sa.Column("update_time", Instant, nullable=False),
)

MOVEMENT = sa.Table(
    "movement",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("item_code", sa.Text, primary_key=True),
    sa.Column("movement_no", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False, comment="units, signed"),
    sa.Column("before", sa.BigInteger, nullable=False),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("terminal_no", sa.Integer, nullable=False, comment="of the transaction that caused it; 0 if none did"),
    sa.Column("transaction_no", sa.BigInteger, nullable=False, comment="0 if no transaction caused it"),
    sa.Column("create_time", Instant, nullable=False),
)
