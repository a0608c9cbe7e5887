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

USER = sa.Table(
    "user_account",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("user_name", sa.Text, primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False, comment="Argon2id, with its salt and its parameters"),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("credential_id", sa.Text, nullable=False, comment="of tokens made now; another one makes them void"),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("password_time", Instant, nullable=False, comment="when the password was last set"),
    sa.Column("disable_time", Instant, comment="null while the user may sign in"),
)

SIGN_IN_FAILURE = sa.Table(
    "sign_in_failure",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True, comment="empty: of everybody who is unknown"),
    sa.Column("user_name", sa.Text, primary_key=True, comment="empty: of everybody who is unknown"),
    sa.Column("times", sa.JSON, nullable=False, comment="failures that count, as ISO 8601, oldest first"),
    sa.Column("lock_end_time", Instant, comment="null where the user was not locked"),
    sa.Column("last_time", Instant, nullable=False),
)

REVOCATION = sa.Table(
    "revocation",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True, comment="empty for credentials of services"),
    sa.Column("credential_id", sa.Text, primary_key=True),
    sa.Column("revoke_time", Instant, nullable=False),
    sa.Index("ix_revocation_revoke_time", "revoke_time"),
)
