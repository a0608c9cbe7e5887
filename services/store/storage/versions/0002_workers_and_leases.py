"""Workers and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from trunkline.storage.types import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Applies it."""
    op.create_table(
        "lease",
        sa.Column(
            "name", sa.Text(), nullable=False, comment="what it allows, such as relay or consumer/report/tranlog/3"
        ),
        sa.Column("worker_id", sa.Text(), nullable=True, comment="who may; null: nobody"),
        sa.Column("term", sa.BigInteger(), nullable=False, comment="how often it was taken"),
        sa.Column("take_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Text(), nullable=False, comment="of one process, never used again"),
        sa.Column("label", sa.Text(), nullable=False, comment="host and process, for people"),
        sa.Column("machine", sa.Text(), nullable=False, comment="where its process can be looked for"),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False, comment="rises while it lives"),
        sa.Column("start_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    with op.batch_alter_table("dead_letter", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "consumer_version",
                sa.Text(),
                nullable=True,
                comment="release that failed; null in letters of older ones",
            )
        )
        batch_op.add_column(
            sa.Column(
                "traceparent",
                sa.Text(),
                nullable=True,
                comment="trace context of its publication; null where there was none",
            )
        )

    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_event_id", ["event_id"], unique=False)
