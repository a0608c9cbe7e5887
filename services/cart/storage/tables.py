"""Tables of the cart service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import Instant, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""

CART = sa.Table(
    "cart",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("cart_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, nullable=False),
    sa.Column("terminal_no", sa.Integer, nullable=False),
    sa.Column("business_counter", sa.BigInteger, nullable=False, comment="opening it was made in"),
    sa.Column("finished", sa.Boolean, nullable=False, comment="completed or cancelled"),
    sa.Column("document", sa.Text, nullable=False, comment="the cart, JSON"),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0", comment="of this document, drawn anew"),
    sa.Index("ix_cart_opening", "tenant_id", "store_code", "terminal_no", "business_counter", "finished"),
)

TRANSACTION = sa.Table(
    "transaction_record",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("terminal_no", sa.Integer, primary_key=True),
    sa.Column("transaction_no", sa.BigInteger, primary_key=True),
    sa.Column("business_date", sa.Date, nullable=False),
    sa.Column("business_counter", sa.BigInteger, nullable=False, comment="opening it was made in"),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("document", sa.Text, nullable=False, comment="the transaction, JSON; never changed"),
    sa.Column("voided_by_no", sa.BigInteger, comment="transaction of the same terminal that voids it"),
    sa.Column("returned_by_terminal_no", sa.Integer, comment="terminal of the return, if it is not voided"),
    sa.Column("returned_by_no", sa.BigInteger, comment="number of that return"),
    sa.Index(
        "ix_transaction_record_opening", "tenant_id", "store_code", "terminal_no", "business_counter", "transaction_no"
    ),
)

TERMINAL_NUMBER = sa.Table(
    "terminal_number",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("terminal_no", sa.Integer, primary_key=True),
    sa.Column("transaction_no", sa.BigInteger, nullable=False, comment="last one given out"),
    sa.Column("receipt_no", sa.BigInteger, nullable=False, comment="last one given out"),
)

OPENING_SEAL = sa.Table(
    "opening_seal",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("terminal_no", sa.Integer, primary_key=True),
    sa.Column("business_counter", sa.BigInteger, primary_key=True),
    sa.Column("transaction_count", sa.BigInteger, nullable=False),
    sa.Column("last_transaction_no", sa.BigInteger, nullable=False, comment="0 if there is none"),
)
