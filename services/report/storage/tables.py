"""Tables of the report service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trunkline.storage import Instant, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""


def _opening_key() -> tuple[sa.Column[Any], ...]:
    """One opening of one terminal; a report's dates are a range of the key."""
    return (
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("store_code", sa.Text, primary_key=True),
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("terminal_no", sa.Integer, primary_key=True),
        sa.Column("open_counter", sa.Integer, primary_key=True),
    )


FIGURE = sa.Table(
    "figure",
    METADATA,
    *_opening_key(),
    sa.Column("name", sa.Text, primary_key=True, comment="what is summed"),
    sa.Column("code", sa.Text, primary_key=True, comment="tax or payment method; empty where the name says it all"),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="minor units, signed"),
    sa.Column("quantity", sa.BigInteger, nullable=False, comment="units, signed"),
    sa.Column("count", sa.BigInteger, nullable=False, comment="occurrences, signed"),
)

LABEL = sa.Table(
    "label",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, comment="TAX or TENDER"),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, comment="of a tender; empty with TAX"),
    sa.Column("rate_bps", sa.Integer, nullable=False, comment="of a tax; 0 with TENDER"),
    sa.Column("use_time", Instant, nullable=False, comment="of the last transaction that used it"),
)

OPENING = sa.Table(
    "opening",
    METADATA,
    *_opening_key(),
    sa.Column("business_counter", sa.BigInteger, nullable=False),
    sa.Column("open_time", Instant, comment="of the open log; null until it is received"),
    sa.Column("transaction_count", sa.BigInteger, nullable=False, comment="received"),
    sa.Column("last_transaction_no", sa.BigInteger, nullable=False, comment="highest received; 0 none"),
    sa.Column("cash_movement_count", sa.BigInteger, nullable=False, comment="received"),
    sa.Column("last_cash_movement_time", Instant, comment="latest received; null if there is none"),
    sa.Column("close_time", Instant, comment="of the close log; null until it is received, and so are all below"),
    sa.Column("closing_transaction_count", sa.BigInteger),
    sa.Column("closing_last_transaction_no", sa.BigInteger),
    sa.Column("closing_cash_movement_count", sa.BigInteger),
    sa.Column("closing_last_cash_movement_time", Instant, comment="null too if the opening had none"),
    sa.Column("counted_cash", sa.BigInteger, comment="minor units"),
)

RECEIVED_TRANSACTION = sa.Table(
    "received_transaction",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("terminal_no", sa.Integer, primary_key=True),
    sa.Column("transaction_no", sa.BigInteger, primary_key=True),
    sa.Column("business_date", sa.Date, nullable=False),
    sa.Column("log", sa.LargeBinary, nullable=False, comment="pos.event.v1.TransactionLog as it came"),
    sa.Index("ix_received_transaction_business_date", "tenant_id", "store_code", "business_date"),
)

RECEIVED_CASH_MOVEMENT = sa.Table(
    "received_cash_movement",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("terminal_no", sa.Integer, primary_key=True),
    sa.Column("movement_no", sa.BigInteger, primary_key=True),
    sa.Column("business_date", sa.Date, nullable=False),
    sa.Column("log", sa.LargeBinary, nullable=False, comment="pos.event.v1.CashLog as it came"),
    sa.Index("ix_received_cash_movement_business_date", "tenant_id", "store_code", "business_date"),
)

REPORT_NUMBER = sa.Table(
    "report_number",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("terminal_no", sa.Integer, primary_key=True),
    sa.Column("report_no", sa.BigInteger, nullable=False, comment="last one given out"),
)

REBUILDABLE = (FIGURE, LABEL, OPENING, RECEIVED_TRANSACTION, RECEIVED_CASH_MOVEMENT)
"""Tables that hold nothing but effects of events: `trunkline events rebuild` makes them anew."""
