"""Tables of the journal service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import Instant, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""

ENTRY = sa.Table(
    "entry",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("entry_id", sa.Text, primary_key=True, comment="id of the event it came with"),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, comment="tenant/store/terminal"),
    sa.Column("number", sa.BigInteger, nullable=False, comment="position of the event in (topic, key)"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("store_code", sa.Text, nullable=False),
    sa.Column("terminal_no", sa.Integer, nullable=False),
    sa.Column("business_date", sa.Date, nullable=False),
    sa.Column("open_counter", sa.Integer, nullable=False),
    sa.Column("business_counter", sa.BigInteger, nullable=False),
    # A number that an entry does not have is null, so that no bound of that number finds it.
    sa.Column("transaction_no", sa.BigInteger),
    sa.Column("receipt_no", sa.BigInteger),
    sa.Column("movement_no", sa.BigInteger),
    sa.Column("report_no", sa.BigInteger),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("amount_with_tax", sa.BigInteger, comment="minor units; null if there is no amount"),
    sa.Column("currency_code", sa.Text, nullable=False, comment="empty if there is no amount"),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("staff_id", sa.Text, nullable=False),
    sa.Column("staff_name", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, comment="what the event carried, as it came; null in rows of older releases"),
    sa.UniqueConstraint("tenant_id", "topic", "key", "number"),
    sa.Index("ix_entry_time", "tenant_id", "store_code", "create_time", "number", "entry_id"),
    sa.Index("ix_entry_business_date", "tenant_id", "store_code", "business_date"),
)

REBUILDABLE = (ENTRY,)
"""Tables that hold nothing but effects of events: `trunkline events rebuild` makes them anew."""
