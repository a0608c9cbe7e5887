"""What is sent: sales of five lines, on as many terminals as one likes, in a publisher's outbox or in streams."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.type.v1.date_pb2 import Date
from pos.type.v1.tax_kind_pb2 import TAX_KIND_INTERNAL
from pos.type.v1.tender_kind_pb2 import TENDER_KIND_CASH
from pos.type.v1.transaction_kind_pb2 import TRANSACTION_KIND_SALE
from redis.asyncio import Redis
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events import topic_of
from trunkline.events.shard import Shard
from trunkline.events.topics import shard_of
from trunkline.storage import Database, Outbox, SqliteDatabase, new_metadata, platform_tables

TOPIC = topic_of(TransactionLog)
"""What they are published on."""
TENANT = "bench"
METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
EFFECT = sa.Table(
    "effect",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("total", sa.BigInteger, nullable=False),
)
"""What a consumer of the bench does with an event: a row."""
LINES = 5
PRICE = 120
CHUNK = 500
"""Rows of an outbox written in one transaction."""


def sale(terminal_no: int, transaction_no: int) -> TransactionLog:
    """A sale of five lines, paid in cash; as long as those of the shop."""
    total = LINES * PRICE
    log = TransactionLog(
        store_code="bench", terminal_no=terminal_no, transaction_no=transaction_no, receipt_no=transaction_no,
        kind=TRANSACTION_KIND_SALE, business_date=Date(year=2026, month=1, day=5), open_counter=1,
        business_counter=1, staff_id="s1", staff_name="Staff of the bench", currency_code="JPY", quantity=LINES,
        total_minor_units=total, total_with_tax_minor_units=total,
        lines=[
            TransactionLog.Line(
                line_no=number, item_code=f"item-{number}", description=f"item number {number}", category_code="food",
                tax_code="00", unit_price_minor_units=PRICE, quantity=1, amount_minor_units=PRICE,
            )
            for number in range(1, LINES + 1)
        ],
        taxes=[
            TransactionLog.Tax(
                tax_code="00", kind=TAX_KIND_INTERNAL, rate_bps=1000, target_minor_units=total,
                amount_minor_units=total * 10 // 110,
            )
        ],
        payments=[
            TransactionLog.Payment(
                payment_method_code="01", description="cash", kind=TENDER_KIND_CASH, deposit_minor_units=total,
                applied_minor_units=total,
            )
        ],
    )  # fmt: skip
    log.create_time.FromDatetime(SYSTEM_CLOCK.now())
    return log


def key_of(terminal_no: int) -> str:
    """What order is kept by."""
    return f"{TENANT}/bench/{terminal_no}"


def append(outbox: Outbox, connection: sa.Connection, terminal_no: int, number: int) -> None:
    """Publishes the sale of a number on a terminal, as a service does in the transaction of the sale."""
    subject = f"tenants/{TENANT}/stores/bench/terminals/{terminal_no}/transactions/{number}"
    outbox.append(
        connection, sale(terminal_no, number), key=key_of(terminal_no), subject=subject, tenant_id=TENANT,
        now=SYSTEM_CLOCK.now(),
    )  # fmt: skip


def envelopes(count: int, terminals: int, shards: int) -> list[tuple[Shard, bytes]]:
    """Events of some terminals in turn, each with the stream it belongs to."""
    numbers: Counter[int] = Counter()
    found = []
    for index in range(count):
        terminal_no = index % terminals + 1
        numbers[terminal_no] += 1
        key, payload = key_of(terminal_no), sale(terminal_no, numbers[terminal_no]).SerializeToString()
        envelope = Envelope(
            id=str(uuid.uuid4()), source=TOPIC.publisher, type=TransactionLog.DESCRIPTOR.full_name,
            subject=f"{key}/{numbers[terminal_no]}", tenant_id=TENANT, topic=TOPIC.name, key=key,
            number=numbers[terminal_no], payload=payload, request_id=uuid.uuid4().hex,
        )  # fmt: skip
        envelope.time.FromDatetime(SYSTEM_CLOCK.now())
        found.append((Shard(TOPIC.name, shard_of(key, shards)), envelope.SerializeToString()))
    return found


@asynccontextmanager
async def opened(path: Path, metadata: sa.MetaData = METADATA) -> AsyncIterator[Database]:
    """A database with the tables of the bench, or others."""
    database = SqliteDatabase(path, metadata)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def fill_outbox(database: Database, count: int, terminals: int, *, after: int = 0) -> None:
    """Publishes sales of some terminals in turn; so many have been published before. Nobody sends them yet."""
    outbox = Outbox(PLATFORM, TOPIC.publisher)
    for start in range(after, after + count, CHUNK):
        chunk = range(start, min(start + CHUNK, after + count))

        def publish(connection: sa.Connection, chunk: range = chunk) -> None:
            for index in chunk:
                append(outbox, connection, index % terminals + 1, index // terminals + 1)

        await database.write(publish)


async def unsend(database: Database) -> None:
    """Nothing of the outbox was sent."""
    statement = sa.update(PLATFORM.outbox).values(shard=None, stream_id=None, confirmed=False)
    await database.write(lambda connection: connection.execute(statement).rowcount)


async def pipelined(client: Any, events: Sequence[tuple[Shard, bytes]], batch: int, *, publish: bool) -> None:
    """Adds events to their streams, and publishes them on their channel or does not, in pipelines of some size."""
    for start in range(0, len(events), batch):
        pipeline = client.pipeline(transaction=False)
        for shard, data in events[start : start + batch]:
            pipeline.execute_command("XADD", shard.stream, "*", "e", data)
            if publish:
                pipeline.execute_command("PUBLISH", shard.topic, data)
        await pipeline.execute()


def client_of(url: str) -> Any:
    """A connection of the bench's own."""
    return Redis.from_url(url, protocol=2)
