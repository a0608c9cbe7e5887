"""Tables of the platform in every service's database.

A service adds them to its own MetaData, so that one migration chain and one transaction cover both:

    METADATA = new_metadata()
    PLATFORM = platform_tables(METADATA)

`key` is the key order is kept by, `tenant/store/terminal`: it starts with the tenant. Primary keys over it lead with
group and topic, because that is how they are read (ADR 8). Event numbers run from 1 in each (topic, key).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trunkline.storage.types import Instant, row_id

_NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


def new_metadata() -> sa.MetaData:
    """MetaData whose constraints all have names, which later migrations need to find them."""
    return sa.MetaData(naming_convention=_NAMES)


@dataclass(frozen=True, slots=True)
class PlatformTables:
    """The library's tables in one MetaData."""

    idempotency_answer: sa.Table
    """Answers by (tenant, subject, method, key), to be replayed."""
    outbox: sa.Table
    """Every event this service published; kept as long as what it tells about."""
    outbox_number: sa.Table
    """Last number given out in each (topic, key)."""
    outbox_setting: sa.Table
    """What was decided for a topic at the first start, and is never changed silently."""
    inbox: sa.Table
    """Events applied, each row committed with its effect."""
    consumer_position: sa.Table
    """Last number of each (group, topic, key) that is applied or recorded as a hole."""
    parked_event: sa.Table
    """Events that came before their turn, waiting for the missing ones, or that failed and are tried again."""
    hole: sa.Table
    """Numbers that were passed over; closed when the event comes after all."""
    dead_letter: sa.Table
    """Events that could not be applied, with everything needed to try again."""
    worker: sa.Table
    """Processes that work on this database, each with a count that rises while it lives."""
    lease: sa.Table
    """What one process at a time may do: relay, or own a shard of a topic."""

    @property
    def secret_answers(self) -> sa.ColumnElement[bool]:
        """Answers that hold a secret and are still there; in the words of the index over them."""
        return _is_secret(self.idempotency_answer)

    @property
    def unsent(self) -> sa.ColumnElement[bool]:
        """Outbox rows the relay has yet to send; in the words of the index over them."""
        return _is_unsent(self.outbox)

    @property
    def unconfirmed(self) -> sa.ColumnElement[bool]:
        """Outbox rows sent and not yet confirmed by every group; in the words of the index over them."""
        return _is_unconfirmed(self.outbox)


# An index over some rows is used by those who ask for them in its words: they stand here once.
def _is_secret(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.sealed == sa.true(), table.c.answer.is_not(None))


def _is_unsent(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.stream_id.is_(None)


def _is_unconfirmed(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.stream_id.is_not(None), table.c.confirmed == sa.false())


def platform_tables(metadata: sa.MetaData) -> PlatformTables:
    """Adds the library's tables to a service's MetaData. Once for each MetaData."""
    return PlatformTables(
        idempotency_answer=_idempotency_answer(metadata),
        outbox=_outbox(metadata),
        outbox_number=_outbox_number(metadata),
        outbox_setting=_outbox_setting(metadata),
        inbox=_inbox(metadata),
        consumer_position=_consumer_position(metadata),
        parked_event=_parked_event(metadata),
        hole=_hole(metadata),
        dead_letter=_dead_letter(metadata),
        worker=_worker(metadata),
        lease=_lease(metadata),
    )


def _idempotency_answer(metadata: sa.MetaData) -> sa.Table:
    table = sa.Table(
        "idempotency_answer",
        metadata,
        _text("tenant_id", primary_key=True, comment="empty for calls without a tenant"),
        _text("subject", primary_key=True, comment="who called, for calls without a tenant; else empty"),
        _text("method", primary_key=True, comment="full path of the rpc"),
        _text("key", primary_key=True, comment="the caller's idempotency key"),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False, comment="HMAC of the canonical request"),
        sa.Column("answer", sa.LargeBinary, comment="serialized answer; null once a sealed one is dropped"),
        sa.Column("sealed", sa.Boolean, nullable=False, comment="answer is encrypted"),
        sa.Column("create_time", Instant, nullable=False),
        sa.Index("ix_idempotency_answer_create_time", "create_time"),
    )
    # The others, which are almost all, cost nothing here.
    secret = _is_secret(table)
    sa.Index("ix_idempotency_answer_secret", table.c.create_time, sqlite_where=secret, postgresql_where=secret)
    return table


def _outbox(metadata: sa.MetaData) -> sa.Table:
    table = sa.Table(
        "outbox",
        metadata,
        sa.Column("id", row_id(), primary_key=True, comment="order of commits; never used twice"),
        _text("topic"),
        _text("key"),
        sa.Column("number", sa.BigInteger, nullable=False, comment="position in (topic, key), from 1"),
        _text("tenant_id"),
        _text("event_id"),
        sa.Column("envelope", sa.LargeBinary, nullable=False, comment="serialized trunk.event.v1.Envelope"),
        sa.Column("create_time", Instant, nullable=False),
        sa.Column("shard", sa.Integer, comment="shard of the topic it was sent to; null while unsent"),
        sa.Column("stream_id", sa.Text, comment="id of its entry in the stream, sortable; null while unsent"),
        sa.Column("confirmed", sa.Boolean, nullable=False, comment="every declared group has it"),
        sa.UniqueConstraint("topic", "key", "number"),
        sa.Index("ix_outbox_topic_create_time", "topic", "create_time"),
        sa.Index("ix_outbox_event_id", "event_id"),
        sqlite_autoincrement=True,
    )
    columns, unsent, sent = table.c, _is_unsent(table), _is_unconfirmed(table)
    sa.Index("ix_outbox_unsent", columns.id, sqlite_where=unsent, postgresql_where=unsent)
    order = columns.topic, columns.shard, columns.stream_id
    sa.Index("ix_outbox_unconfirmed", *order, sqlite_where=sent, postgresql_where=sent)
    return table


def _outbox_number(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "outbox_number",
        metadata,
        _text("topic", primary_key=True),
        _text("key", primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, comment="last one given out"),
    )


def _outbox_setting(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "outbox_setting",
        metadata,
        _text("topic", primary_key=True),
        sa.Column("shards", sa.Integer, nullable=False, comment="streams the topic is spread over"),
        sa.Column("create_time", Instant, nullable=False),
    )


def _inbox(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "inbox",
        metadata,
        *_event_key(),
        _text("event_id"),
        sa.Column("apply_time", Instant, nullable=False),
    )


def _consumer_position(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "consumer_position",
        metadata,
        _text("consumer_group", primary_key=True),
        _text("topic", primary_key=True),
        _text("key", primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, comment="all up to it are applied or holes"),
        sa.Column("update_time", Instant, nullable=False),
    )


def _parked_event(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "parked_event",
        metadata,
        *_event_key(),
        _text("tenant_id"),
        _text("event_id"),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.Column("park_time", Instant, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, comment="times it was tried; 0: it waits for its turn"),
        sa.Column("error", sa.Text, comment="the last failure, for developers; null before one"),
        sa.Column("first_time", Instant, comment="first failure; null before one"),
        sa.Column("retry_time", Instant, comment="not to be tried before; null: as soon as it is its turn"),
        sa.Index("ix_parked_event_park_time", "park_time"),
        # All that is asked of many of them at once, and often.
        sa.Index("ix_parked_event_mark", "consumer_group", "topic", "key", "number", "park_time"),
    )


def _hole(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "hole",
        metadata,
        *_event_key(),
        _text("reason", comment="why it was passed over: MISSING or DEAD_LETTER"),
        sa.Column("open_time", Instant, nullable=False),
        sa.Column("closed_time", Instant, comment="when the event was applied after all; null while open"),
    )


def _dead_letter(metadata: sa.MetaData) -> sa.Table:
    table = sa.Table(
        "dead_letter",
        metadata,
        sa.Column("id", row_id(), primary_key=True),
        _text("consumer_group"),
        _text("topic"),
        sa.Column("key", sa.Text, comment="null where the bytes are no envelope"),
        sa.Column("number", sa.BigInteger, comment="null where the bytes are no envelope"),
        sa.Column("tenant_id", sa.Text, comment="null where the bytes are no envelope"),
        sa.Column("event_id", sa.Text, comment="null where the bytes are no envelope"),
        sa.Column("shard", sa.Integer, comment="shard it was read from; null if not from a stream"),
        sa.Column("stream_id", sa.Text, comment="entry it was read from; null if not from a stream"),
        sa.Column("envelope", sa.LargeBinary, nullable=False, comment="the bytes as they came"),
        _text("reason", comment="trunk.event.v1.ErrorReason without its prefix"),
        _text("error", comment="the last failure, for developers"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_time", Instant, nullable=False, comment="first failure"),
        sa.Column("last_time", Instant, nullable=False, comment="last failure"),
        sa.Column("closed_time", Instant, comment="when it was applied after all; null while open"),
        sa.Column("consumer_version", sa.Text, comment="release that failed; null in letters of older ones"),
        sa.Column("traceparent", sa.Text, comment="trace context of its publication; null where there was none"),
        # Null differs from null, so each of these binds only the letters that have what it names.
        sa.UniqueConstraint("consumer_group", "topic", "key", "number"),
        sa.UniqueConstraint("consumer_group", "topic", "shard", "stream_id"),
        sqlite_autoincrement=True,
    )
    columns = table.c
    still = columns.closed_time.is_(None)
    # With all that they are counted by: SQLite would read the rows for a column that is always null here.
    counted = (columns.consumer_group, columns.id, columns.topic, columns.closed_time)
    sa.Index("ix_dead_letter_open", *counted, sqlite_where=still, postgresql_where=still)
    return table


def _worker(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "worker",
        metadata,
        _text("id", primary_key=True, comment="of one process, never used again"),
        _text("label", comment="host and process, for people"),
        _text("machine", comment="where its process can be looked for"),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False, comment="rises while it lives"),
        sa.Column("start_time", Instant, nullable=False),
    )


def _lease(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "lease",
        metadata,
        _text("name", primary_key=True, comment="what it allows, such as relay or consumer/report/tranlog/3"),
        sa.Column("worker_id", sa.Text, comment="who may; null: nobody"),
        sa.Column("term", sa.BigInteger, nullable=False, comment="how often it was taken"),
        sa.Column("take_time", Instant, nullable=False),
    )


def _event_key() -> tuple[sa.Column[Any], ...]:
    return (
        _text("consumer_group", primary_key=True),
        _text("topic", primary_key=True),
        _text("key", primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    )


def _text(name: str, *, primary_key: bool = False, comment: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=primary_key, nullable=False, comment=comment)
