"""A notebook that publishes notes, and readers that keep them: what the tests of events work with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from redis.asyncio import Redis
from trunk.event.v1 import envelope_pb2
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.events import Consumer, ConsumerTransaction, Event, Handlers, Relay, topic_of
from trunkline.events.consuming.gaps import GapSource
from trunkline.events.topics import shard_of, stream_name
from trunkline.foreground import Foreground
from trunkline.storage import Database, Outbox, SqliteDatabase, new_metadata, platform_tables
from trunkline.storage.leases import Leases

BOUND_S = 10.0
"""Seconds a test waits for anything."""
SOURCE = "notebook"
GROUP = "reader"
KEY = "t/s/1"
OTHER_KEY = "t/s/2"

_LEASES: WeakKeyDictionary[Database, Leases] = WeakKeyDictionary()
METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
SEEN = sa.Table(
    "seen",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
"""Effects, in their order. It takes the same event twice, so that a second effect shows."""


def _message(name: str, topic: str, groups: Sequence[str], publisher: str = SOURCE) -> Any:
    """A message type made here: contracts of the platform declare no topic of their own."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name.lower()}.proto", package="events.bench", syntax="proto3")
    file.dependency.append("trunk/event/v1/envelope.proto")
    message = file.message_type.add(name=name)
    message.field.add(name="text", number=1, type=9, label=1)
    message.options.Extensions[envelope_pb2.topic].CopyFrom(
        envelope_pb2.Topic(name=topic, publisher=publisher, groups=groups)
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"events.bench.{name}"))


Note = _message("Note", "notes", [GROUP])
Memo = _message("Memo", "memos", [GROUP, "archive"])
Scrap = _message("Scrap", "notes", [GROUP])
Reply = _message("Reply", "replies", [], publisher=GROUP)
TOPICS = (topic_of(Note), topic_of(Memo))


def keep(transaction: ConsumerTransaction, event: Event) -> None:
    """The handler: one row for each effect."""
    envelope = event.envelope
    row = {"key": envelope.key, "number": envelope.number, "text": event.message.text}
    transaction.connection.execute(sa.insert(SEEN), row)


async def publish(database: Database, *texts: str, key: str = KEY, message: Any = Note) -> None:
    """Commits one event for each text."""
    outbox = Outbox(PLATFORM, SOURCE)

    def work(connection: sa.Connection) -> None:
        for text in texts:
            now = SYSTEM_CLOCK.now()
            outbox.append(
                connection, message(text=text), key=key, subject=f"notes/{text}", tenant_id="t", now=now, request_id="r"
            )

    await database.write(work)


def envelope(number: int, *, key: str = KEY, text: str = "", type_: str = "events.bench.Note") -> bytes:
    """The bytes of one event, as the relay would send them."""
    payload = Note(text=text or f"n{number}").SerializeToString()
    return envelope_pb2.Envelope(
        id=f"{key}#{number}",
        source=SOURCE,
        type=type_,
        tenant_id="t",
        topic="notes",
        key=key,
        number=number,
        payload=payload,
    ).SerializeToString()


async def add(client: Redis, *data: bytes, key: str = KEY) -> None:
    """Adds entries to the stream of a key, past the relay."""
    for one in data:
        await client.xadd(stream_name("notes", shard_of(key, 8)), {"e": one})


async def entries(client: Any, stream: str) -> list[tuple[bytes, bytes]]:
    """Ids and envelopes of a stream, in order."""
    return [(entry_id, fields[b"e"]) for entry_id, fields in await client.xrange(stream)]


async def numbers(client: Redis, stream: str) -> list[int]:
    """Numbers of the events of a stream, in order."""
    return [envelope_pb2.Envelope.FromString(data).number for _, data in await entries(client, stream)]


async def seen(database: Database, key: str | None = None) -> list[tuple[int, str]]:
    """Number and text of all effects in their order, of one key or of all."""
    query = sa.select(SEEN.c.number, SEEN.c.text).order_by(SEEN.c.id)
    if key is not None:
        query = query.where(SEEN.c.key == key)
    return await database.read(lambda connection: [(row.number, row.text) for row in connection.execute(query)])


async def rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    """All rows of a table."""
    query = sa.select(table).order_by(*table.primary_key)
    return await database.read(lambda connection: [dict(row) for row in connection.execute(query).mappings()])


async def until(condition: Callable[[], Awaitable[object] | object], bound_s: float = BOUND_S) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(bound_s):
        while True:
            held = condition()
            if await held if isinstance(held, Awaitable) else held:
                return
            await asyncio.sleep(0.005)


async def until_seen(database: Database, numbers: Sequence[int], key: str = KEY) -> None:
    """Waits until the effects of a key are these, in this order."""
    found: list[int] = []

    async def same() -> bool:
        found[:] = [number for number, _ in await seen(database, key)]
        return found == list(numbers)

    try:
        await until(same)
    except TimeoutError:
        raise AssertionError(f"{found} instead of {list(numbers)}") from None


def leases_of(database: Database) -> Leases:
    """This process as the only worker on a database, whichever relays and consumers it runs one after the other."""
    if database not in _LEASES:
        _LEASES[database] = Leases(database, PLATFORM)
    return _LEASES[database]


def relay(
    database: Database,
    url: str,
    *,
    shards: int = 8,
    poll_s: float = 0.05,
    foreground: Foreground | None = None,
) -> Relay:
    """The relay of the notebook. Calls of other tests of this process are nothing to it."""
    return Relay(
        database,
        PLATFORM,
        url,
        source=SOURCE,
        topics=TOPICS,
        leases=Leases(database, PLATFORM),
        shards=shards,
        poll_s=poll_s,
        foreground=foreground or Foreground(),
    )


def consumer(
    database: Database,
    url: str,
    handlers: Handlers | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    wake: Callable[[], None] | None = None,
    log: GapSource | None = None,
    foreground: Foreground | None = None,
) -> Consumer:
    """The reader."""
    known: dict[type[Message], Any] = {Note: keep, Memo: keep}
    leases = leases_of(database)
    return Consumer(
        database,
        PLATFORM,
        url,
        group=GROUP,
        handlers=handlers or known,
        leases=leases,
        log=log,
        clock=clock,
        wake=wake,
        block_s=0.05,
        foreground=foreground or Foreground(),
    )


@asynccontextmanager
async def running(*workers: Relay | Consumer) -> AsyncIterator[None]:
    """Runs workers for the length of a block; in the end they stop by themselves, and soon."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(worker.run(stop)) for worker in workers]
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(BOUND_S):
            await asyncio.gather(*tasks)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    """A database with the tables of the bench."""
    database = SqliteDatabase(path, METADATA)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
