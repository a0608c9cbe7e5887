"""Indexes of secrets and of what was set aside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
oldest_release = "0003"


def upgrade() -> None:
    """Applies it."""
    with op.batch_alter_table("dead_letter", schema=None) as batch_op:
        batch_op.create_index(
            "ix_dead_letter_open",
            ["consumer_group", "id", "topic", "closed_time"],
            unique=False,
            sqlite_where=sa.text("closed_time IS NULL"),
            postgresql_where=sa.text("closed_time IS NULL"),
        )

    with op.batch_alter_table("idempotency_answer", schema=None) as batch_op:
        batch_op.create_index(
            "ix_idempotency_answer_secret",
            ["create_time"],
            unique=False,
            sqlite_where=sa.text("sealed = 1 AND answer IS NOT NULL"),
            postgresql_where=sa.text("sealed AND answer IS NOT NULL"),
        )

    with op.batch_alter_table("parked_event", schema=None) as batch_op:
        batch_op.create_index(
            "ix_parked_event_mark", ["consumer_group", "topic", "key", "number", "park_time"], unique=False
        )
