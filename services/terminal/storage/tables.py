"""Tables of the terminal service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trunkline.storage import Instant, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""


def _key() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("store_code", sa.Text, primary_key=True),
        sa.Column("terminal_no", sa.Integer, primary_key=True, autoincrement=False),
    )


def _of_terminal() -> sa.ForeignKeyConstraint:
    columns = ["tenant_id", "store_code", "terminal_no"]
    return sa.ForeignKeyConstraint(columns, [f"terminal.{name}" for name in columns])


TERMINAL = sa.Table(
    "terminal",
    METADATA,
    *_key(),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="TerminalState"),
    sa.Column("function_mode", sa.Text, nullable=False, comment="FunctionMode"),
    sa.Column("business_date", sa.Date, comment="of the last opening; null if it was never opened"),
    sa.Column("open_counter", sa.Integer, nullable=False, comment="openings of that date; 0 if never opened"),
    sa.Column("business_counter", sa.BigInteger, nullable=False, comment="openings ever"),
    sa.Column("staff_id", sa.Text, comment="who is signed in; null if nobody is"),
    sa.Column("staff_name", sa.Text, comment="as the id"),
    sa.Column("movement_no", sa.BigInteger, nullable=False, comment="last cash movement ever"),
    sa.Column("cash_movement_count", sa.BigInteger, nullable=False, comment="of the last opening"),
    sa.Column("last_cash_movement_time", Instant, comment="of the last opening; null without movements"),
)

OPENING = sa.Table(
    "opening",
    METADATA,
    *_key(),
    sa.Column("business_counter", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("business_date", sa.Date, nullable=False),
    sa.Column("open_counter", sa.Integer, nullable=False),
    sa.Column("initial_float", sa.BigInteger, comment="minor units; null if none was given"),
    sa.Column("open_staff_id", sa.Text, nullable=False),
    sa.Column("open_staff_name", sa.Text, nullable=False),
    sa.Column("open_time", Instant, nullable=False),
    sa.Column("close_staff_id", sa.Text, comment="this and all that follow: null while it is OPENED"),
    sa.Column("close_staff_name", sa.Text),
    sa.Column("close_time", Instant),
    sa.Column("transaction_count", sa.BigInteger),
    sa.Column("last_transaction_no", sa.BigInteger, comment="0 if there was none"),
    sa.Column("cash_movement_count", sa.BigInteger),
    sa.Column("last_cash_movement_time", Instant, comment="null without movements"),
    sa.Column("counted_cash", sa.BigInteger, comment="minor units"),
    _of_terminal(),
    sa.Index("ix_opening_business_date", "tenant_id", "store_code", "business_date"),
)

CASH_MOVEMENT = sa.Table(
    "cash_movement",
    METADATA,
    *_key(),
    sa.Column("movement_no", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("business_counter", sa.BigInteger, nullable=False, comment="opening it belongs to"),
    sa.Column("kind", sa.Text, nullable=False, comment="CashMovementKind"),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="minor units, signed: cash out is negative"),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("is_initial_float", sa.Boolean, nullable=False),
    sa.Column("staff_id", sa.Text, nullable=False),
    sa.Column("staff_name", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    _of_terminal(),
)
