"""Tables of the payment service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""

PAYMENT_METHOD = sa.Table(
    "payment_method",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("payment_method_code", sa.Text, primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, comment="TenderKind"),
    sa.Column("can_refund", sa.Boolean, nullable=False),
    sa.Column("can_deposit_over", sa.Boolean, nullable=False),
    sa.Column("can_change", sa.Boolean, nullable=False),
    sa.Column("limit_amount", sa.BigInteger, nullable=False, comment="minor units; 0 any amount"),
    sa.Column("active", sa.Boolean, nullable=False),
)
