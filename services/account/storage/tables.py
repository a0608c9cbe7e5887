"""Tables of the account service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import Instant, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
VERSIONS = Path(__file__).parent / "versions"
"""Migration scripts."""

TENANT = sa.Table(
    "tenant",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("currency_code", sa.Text, nullable=False),
    sa.Column("language_code", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
)

API_KEY = sa.Table(
    "api_key",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True, comment="empty for keys of services"),
    sa.Column("api_key_id", sa.Text, primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the secret, which is kept nowhere"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("store_code", sa.Text, nullable=False, comment="of a terminal; else empty"),
    sa.Column("terminal_no", sa.Integer, nullable=False, comment="of a terminal; else 0"),
    sa.Column("service_name", sa.Text, nullable=False, comment="of a service; else empty"),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("revoke_time", Instant, comment="null while the key is valid"),
    # A credential names its key without a tenant.
    sa.UniqueConstraint("api_key_id"),
)
