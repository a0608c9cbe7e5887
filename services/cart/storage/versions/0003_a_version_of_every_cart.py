"""A version of every cart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Applies it."""
    with op.batch_alter_table("cart", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "version", sa.BigInteger(), server_default="0", nullable=False, comment="of this document, drawn anew"
            )
        )
