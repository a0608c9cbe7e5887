"""Payload of each event."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
oldest_release = "0002"


def upgrade() -> None:
    """Applies it."""
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "payload",
                sa.LargeBinary(),
                nullable=True,
                comment="what the event carried, as it came; null in rows of older releases",
            )
        )
