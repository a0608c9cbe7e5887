"""Tables of the store service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""

STORE = sa.Table(
    "store",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False, comment="IANA name"),
)

STAFF = sa.Table(
    "staff",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("staff_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", sa.JSON, nullable=False, comment="list of names"),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("pin_hash", sa.Text, nullable=False, comment="Argon2id, with its salt and costs"),
)

SETTING = sa.Table(
    "setting",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("store_code", sa.Text, primary_key=True, comment="empty: for the whole tenant"),
    sa.Column("terminal_no", sa.Integer, primary_key=True, autoincrement=False, comment="0: for the whole store"),
    sa.Column("value", sa.Text, nullable=False),
)
