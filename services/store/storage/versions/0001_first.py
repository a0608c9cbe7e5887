"""First."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from trunkline.storage.types import Instant

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Applies it."""
    op.create_table(
        "consumer_position",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="all up to it are applied or holes"),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "key", name=op.f("pk_consumer_position")),
    )
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True, comment="null where the bytes are no envelope"),
        sa.Column("number", sa.BigInteger(), nullable=True, comment="null where the bytes are no envelope"),
        sa.Column("tenant_id", sa.Text(), nullable=True, comment="null where the bytes are no envelope"),
        sa.Column("event_id", sa.Text(), nullable=True, comment="null where the bytes are no envelope"),
        sa.Column("shard", sa.Integer(), nullable=True, comment="shard it was read from; null if not from a stream"),
        sa.Column("stream_id", sa.Text(), nullable=True, comment="entry it was read from; null if not from a stream"),
        sa.Column("envelope", sa.LargeBinary(), nullable=False, comment="the bytes as they came"),
        sa.Column("reason", sa.Text(), nullable=False, comment="trunk.event.v1.ErrorReason without its prefix"),
        sa.Column("error", sa.Text(), nullable=False, comment="the last failure, for developers"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_time", Instant(), nullable=False, comment="first failure"),
        sa.Column("last_time", Instant(), nullable=False, comment="last failure"),
        sa.Column("closed_time", Instant(), nullable=True, comment="when it was applied after all; null while open"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
        sa.UniqueConstraint(
            "consumer_group", "topic", "key", "number", name=op.f("uq_dead_letter_consumer_group_topic_key_number")
        ),
        sa.UniqueConstraint(
            "consumer_group",
            "topic",
            "shard",
            "stream_id",
            name=op.f("uq_dead_letter_consumer_group_topic_shard_stream_id"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hole",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it was passed over: MISSING or DEAD_LETTER"),
        sa.Column("open_time", Instant(), nullable=False),
        sa.Column(
            "closed_time", Instant(), nullable=True, comment="when the event was applied after all; null while open"
        ),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "key", "number", name=op.f("pk_hole")),
    )
    op.create_table(
        "idempotency_answer",
        sa.Column("tenant_id", sa.Text(), nullable=False, comment="empty for calls without a tenant"),
        sa.Column("subject", sa.Text(), nullable=False, comment="who called, for calls without a tenant; else empty"),
        sa.Column("method", sa.Text(), nullable=False, comment="full path of the rpc"),
        sa.Column("key", sa.Text(), nullable=False, comment="the caller's idempotency key"),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="HMAC of the canonical request"),
        sa.Column(
            "answer", sa.LargeBinary(), nullable=True, comment="serialized answer; null once a sealed one is dropped"
        ),
        sa.Column("sealed", sa.Boolean(), nullable=False, comment="answer is encrypted"),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject", "method", "key", name=op.f("pk_idempotency_answer")),
    )
    with op.batch_alter_table("idempotency_answer", schema=None) as batch_op:
        batch_op.create_index("ix_idempotency_answer_create_time", ["create_time"], unique=False)

    op.create_table(
        "inbox",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("apply_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "key", "number", name=op.f("pk_inbox")),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="order of commits; never used twice",
        ),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="position in (topic, key), from 1"),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False, comment="serialized trunk.event.v1.Envelope"),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=True, comment="shard of the topic it was sent to; null while unsent"),
        sa.Column(
            "stream_id", sa.Text(), nullable=True, comment="id of its entry in the stream, sortable; null while unsent"
        ),
        sa.Column("confirmed", sa.Boolean(), nullable=False, comment="every declared group has it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("topic", "key", "number", name=op.f("uq_outbox_topic_key_number")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_topic_create_time", ["topic", "create_time"], unique=False)
        batch_op.create_index(
            "ix_outbox_unconfirmed",
            ["topic", "shard", "stream_id"],
            unique=False,
            sqlite_where=sa.text("stream_id IS NOT NULL AND confirmed = 0"),
            postgresql_where=sa.text("stream_id IS NOT NULL AND NOT confirmed"),
        )
        batch_op.create_index(
            "ix_outbox_unsent",
            ["id"],
            unique=False,
            sqlite_where=sa.text("stream_id IS NULL"),
            postgresql_where=sa.text("stream_id IS NULL"),
        )

    op.create_table(
        "outbox_number",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="last one given out"),
        sa.PrimaryKeyConstraint("topic", "key", name=op.f("pk_outbox_number")),
    )
    op.create_table(
        "outbox_setting",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("shards", sa.Integer(), nullable=False, comment="streams the topic is spread over"),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_outbox_setting")),
    )
    op.create_table(
        "parked_event",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("park_time", Instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="times it was tried; 0: it waits for its turn"),
        sa.Column("error", sa.Text(), nullable=True, comment="the last failure, for developers; null before one"),
        sa.Column("first_time", Instant(), nullable=True, comment="first failure; null before one"),
        sa.Column(
            "retry_time", Instant(), nullable=True, comment="not to be tried before; null: as soon as it is its turn"
        ),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "key", "number", name=op.f("pk_parked_event")),
    )
    with op.batch_alter_table("parked_event", schema=None) as batch_op:
        batch_op.create_index("ix_parked_event_park_time", ["park_time"], unique=False)

    op.create_table(
        "setting",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("store_code", sa.Text(), nullable=False, comment="empty: for the whole tenant"),
        sa.Column("terminal_no", sa.Integer(), autoincrement=False, nullable=False, comment="0: for the whole store"),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", "store_code", "terminal_no", name=op.f("pk_setting")),
    )
    op.create_table(
        "staff",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False, comment="list of names"),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("pin_hash", sa.Text(), nullable=False, comment="Argon2id, with its salt and costs"),
        sa.PrimaryKeyConstraint("tenant_id", "staff_id", name=op.f("pk_staff")),
    )
    op.create_table(
        "store",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("store_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False, comment="IANA name"),
        sa.PrimaryKeyConstraint("tenant_id", "store_code", name=op.f("pk_store")),
    )
