"""The processes of the proof: makers, which publish and relay, and keepers, which consume; all from the library."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.errors import ServiceError
from trunkline.events import Consumer, Relay
from trunkline.faultpoints import configure_faultpoints
from trunkline.storage import Database, SqliteDatabase, UnitOfWork
from trunkline.storage.leases import Leases
from trunkline.storage.unit import Transaction
from trunkline.telemetry.logs import configure_logs

from tests.faults.events.marks import FINE, MADE, MAKER, METADATA, NEVER, PLATFORM, TENANT, TOPIC, TWICE, Mark, keeper

TRAFFIC = "traffic"
"""File that says what makers do: name of the round, and whether some of its marks are taken unwillingly."""
KEYS = 5
TOGETHER = 4
"""Units that a maker commits at once."""
PAUSE_S = 0.02
POLL_S = 0.1
WINDOW_S = 0.2
"""Seconds that confirmed entries stay: short, so that much is trimmed while it is watched."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a process is started with."""

    role: str
    """The maker, or a group."""
    folder: Path
    """Where databases, log and the word on traffic are."""
    url: str
    """Where Redis is."""
    faults: str = ""
    """Its fault points."""
    quiet: bool = False
    """A maker that only relays."""


def run(start: Start) -> None:
    """A process from its beginning to its end, which SIGTERM asks for."""
    log = os.open(start.folder / f"{start.role}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    configure_logs(start.role, "info")
    configure_faultpoints(start.faults, "test")
    asyncio.run(_run(start))


async def _run(start: Start) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = SqliteDatabase(start.folder / f"{start.role}.db", METADATA)
    await _open(database)
    leases = Leases(database, PLATFORM)
    beating = asyncio.Event()
    beats = asyncio.create_task(leases.run(beating))
    try:
        await (_make if start.role == MAKER else _keep)(start, database, leases, stop)
    finally:
        beating.set()
        await beats
        await leases.end()
        await database.close()


async def _open(database: Database) -> None:
    """Opens a database that may be away just now, as whoever starts processes would try again."""
    end = time.monotonic() + 60
    while True:
        try:
            return await database.open()
        except Exception:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)


async def _keep(start: Start, database: Database, leases: Leases, stop: asyncio.Event) -> None:
    attempts = start.folder / f"{start.role}.attempts"
    attempts.mkdir(exist_ok=True)
    consumer = Consumer(
        database,
        PLATFORM,
        start.url,
        group=start.role,
        handlers={Mark: keeper(attempts)},
        leases=leases,
        log=_Log(start.folder),
        block_s=0.2,
    )
    await consumer.run(stop)


async def _make(start: Start, database: Database, leases: Leases, stop: asyncio.Event) -> None:
    relay = Relay(
        database,
        PLATFORM,
        start.url,
        source=MAKER,
        topics=[TOPIC],
        leases=leases,
        shards=4,
        poll_s=POLL_S,
        window_s=WINDOW_S,
    )
    unit = UnitOfWork(database, PLATFORM, source=MAKER, secret_file=start.folder / "secret", wake=relay.wake)
    trading = asyncio.create_task(_trade(unit, start.folder / TRAFFIC, stop)) if not start.quiet else None
    await relay.run(stop)
    if trading is not None:
        await trading


async def _trade(unit: UnitOfWork, word: Path, stop: asyncio.Event) -> None:
    """Commits marks while the word is there."""
    made = Counter[str]()
    while not stop.is_set():
        try:
            name, kind = word.read_text().split()  # noqa: ASYNC240  it is one short line
        except (OSError, ValueError):
            await asyncio.sleep(PAUSE_S)
            continue
        await asyncio.gather(*(_commit(unit, f"{TENANT}/{name}/{n % KEYS}", kind, made) for n in range(TOGETHER)))
        await asyncio.gather(_commit(unit, f"{TENANT}/{name}/{KEYS - 1}", kind, made), asyncio.sleep(PAUSE_S))


async def _commit(unit: UnitOfWork, key: str, kind: str, made: Counter[str]) -> None:
    made[key] += 1
    mark = f"{_how(key, made[key], kind)}:{uuid.uuid4().hex}"
    try:
        await unit.run(partial(_work, key=key, mark=mark))
    except ServiceError:
        await asyncio.sleep(PAUSE_S)  # the rows tell whether it was kept


def _work(transaction: Transaction, *, key: str, mark: str) -> Envelope:
    message = Mark(mark=mark, made=time.time())
    number = transaction.publish(message, key=key, subject=f"marks/{mark}", tenant_id=TENANT)
    transaction.connection.execute(sa.insert(MADE), {"key": key, "number": number, "mark": mark})
    return Envelope()


def _how(key: str, nth: int, kind: str) -> str:
    if kind != "unwilling":
        return FINE
    if nth == 3:
        return TWICE
    return NEVER if nth == 6 and key.endswith("/0") else FINE


class _Log:
    """The publisher's log, read from its database: the call in between is proven elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{MAKER}.db"

    async def events(self, topic: str, key: str, numbers: range) -> list[bytes]:
        """Envelopes of some numbers of a key."""
        return await asyncio.to_thread(self._read, topic, key, numbers)

    def _read(self, topic: str, key: str, numbers: range) -> list[bytes]:
        engine = sa.create_engine(f"sqlite:///file:{self._file}?mode=ro&uri=true")
        columns = PLATFORM.outbox.c
        query = sa.select(columns.envelope).where(columns.topic == topic, columns.key == key)
        query = query.where(columns.number >= numbers.start, columns.number < numbers.stop).order_by(columns.number)
        try:
            with engine.connect() as connection:
                return list(connection.scalars(query))
        finally:
            engine.dispose()
