"""A small service's storage: a counter of each tenant, and an event that tells of each addition."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import sqlalchemy as sa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from trunk.event.v1 import envelope_pb2
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.call import IdempotencyContext, InboundCall, serving
from trunkline.storage import AnswerStore, Database, Transaction, new_metadata, platform_tables

SOURCE = "bench"
ADD = "/trunk.testing.v1.EffectService/Add"
MAKE_SECRET = "/trunk.testing.v1.EffectService/MakeSecret"

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
COUNTER = sa.Table(
    "counter",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
EFFECT = sa.Table(
    "effect",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
)
CHILD = sa.Table(
    "child",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("counter", sa.Text, sa.ForeignKey(COUNTER.c.tenant_id, deferrable=True, initially="DEFERRED")),
)

# Built once: building a statement costs as much as running it.
_VALUE = sa.select(COUNTER.c.value).where(COUNTER.c.tenant_id == sa.bindparam("tenant"))
_FIRST = sa.insert(COUNTER)
_NEXT = sa.update(COUNTER).where(COUNTER.c.tenant_id == sa.bindparam("tenant")).values(value=sa.bindparam("new_value"))
_EFFECT = sa.insert(EFFECT)


def _message(name: str, topic: str) -> type[Message]:
    """A message type made here: contracts of the platform declare no topic of their own."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"storage_bench_{name.lower()}.proto", package="storage.bench", syntax="proto3"
    )
    file.dependency.append("trunk/event/v1/envelope.proto")
    message = file.message_type.add(name=name)
    message.field.add(name="text", number=1, type=9, label=1)
    message.options.Extensions[envelope_pb2.topic].CopyFrom(
        envelope_pb2.Topic(name=topic, publisher=SOURCE, groups=["report"])
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"storage.bench.{name}"))


Added = _message("Added", "addlog")


@contextmanager
def call(
    key: str = "", *, answers: AnswerStore | None = None, request: bytes = b"", method: str = ADD, tenant: str = "t"
) -> Iterator[InboundCall]:
    """Serves a call of the bench, with an idempotency key if one is given."""
    inbound = InboundCall(method, tenant_id=tenant)
    if answers is not None:
        fingerprint = answers.fingerprint(request)
        inbound.idempotency = IdempotencyContext(tenant, method, key, fingerprint, secret=method == MAKE_SECRET)
    with serving(inbound) as current:
        yield current


def add(transaction: Transaction, name: str, *, tenant: str = "t") -> pb.AddResponse:
    """One read, the effect, the counter and the event: what a handler's unit does."""
    connection = transaction.connection
    value: int | None = connection.scalar(_VALUE, {"tenant": tenant})
    if value is None:
        connection.execute(_FIRST, {"tenant_id": tenant, "value": 1})
    else:
        connection.execute(_NEXT, {"tenant": tenant, "new_value": value + 1})
    connection.execute(_EFFECT, {"tenant_id": tenant, "name": name})
    transaction.publish(Added(text=name), key=f"{tenant}/s/1", subject=f"effects/{name}", tenant_id=tenant)
    return pb.AddResponse(value=(value or 0) + 1)


def adding(name: str, *, tenant: str = "t") -> Callable[[Transaction], pb.AddResponse]:
    """Work that adds."""
    return lambda transaction: add(transaction, name, tenant=tenant)


@asynccontextmanager
async def held(database: Database) -> AsyncIterator[None]:
    """Holds the writer inside a unit: what is asked for in the block waits, and makes one batch after it."""
    started, free = threading.Event(), threading.Event()

    def wait(_connection: sa.Connection) -> None:
        started.set()
        assert free.wait(10)

    holding = asyncio.create_task(database.write(wait))
    assert await asyncio.to_thread(started.wait, 10)
    try:
        yield
        # The tasks made in the block get to ask.
        await asyncio.sleep(0)
    finally:
        free.set()
    await holding


def insert(name: str) -> Callable[[sa.Connection], str]:
    """Work that leaves one effect and gives its name."""

    def work(connection: sa.Connection) -> str:
        connection.execute(sa.insert(EFFECT).values(tenant_id="t", name=name))
        return name

    return work


def names(connection: sa.Connection) -> list[str]:
    """All effects."""
    return sorted(connection.scalars(sa.select(EFFECT.c.name)))


def numbers(connection: sa.Connection) -> list[int]:
    """Numbers in the outbox, in order of commit."""
    return list(connection.scalars(sa.select(PLATFORM.outbox.c.number).order_by(PLATFORM.outbox.c.id)))
