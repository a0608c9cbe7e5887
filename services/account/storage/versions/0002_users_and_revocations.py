"""Users and revocations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from trunkline.storage.types import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Applies it."""
    op.create_table(
        "revocation",
        sa.Column("tenant_id", sa.Text(), nullable=False, comment="empty for credentials of services"),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("revoke_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "credential_id", name=op.f("pk_revocation")),
    )
    with op.batch_alter_table("revocation", schema=None) as batch_op:
        batch_op.create_index("ix_revocation_revoke_time", ["revoke_time"], unique=False)

    op.create_table(
        "sign_in_failure",
        sa.Column("tenant_id", sa.Text(), nullable=False, comment="empty: of everybody who is unknown"),
        sa.Column("user_name", sa.Text(), nullable=False, comment="empty: of everybody who is unknown"),
        sa.Column("times", sa.JSON(), nullable=False, comment="failures that count, as ISO 8601, oldest first"),
        sa.Column("lock_end_time", Instant(), nullable=True, comment="null where the user was not locked"),
        sa.Column("last_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "user_name", name=op.f("pk_sign_in_failure")),
    )
    op.create_table(
        "user_account",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False, comment="Argon2id, with its salt and its parameters"),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column(
            "credential_id", sa.Text(), nullable=False, comment="of tokens made now; another one makes them void"
        ),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("password_time", Instant(), nullable=False, comment="when the password was last set"),
        sa.Column("disable_time", Instant(), nullable=True, comment="null while the user may sign in"),
        sa.PrimaryKeyConstraint("tenant_id", "user_name", name=op.f("pk_user_account")),
    )
    # Keys revoked by an earlier release: their tokens may be about still.
    op.execute(
        "INSERT INTO revocation (tenant_id, credential_id, revoke_time) "
        "SELECT tenant_id, api_key_id, revoke_time FROM api_key WHERE revoke_time IS NOT NULL"
    )
