"""The parts of the state machine: the real relay and the real consumers, on real databases, one step at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from trunkline.events import Consumer, ConsumerTransaction, Event, Relay
from trunkline.events.publishing.relay import LEASE
from trunkline.events.streams.link import RedisUnavailable
from trunkline.storage import Database, Outbox, SqliteDatabase
from trunkline.storage.leases import TTL_S, LeaseLost, Leases
from trunkline.testing.clock import FakeClock

from tests.faults.events.marks import GROUPS, KEPT, MADE, MAKER, METADATA, PLATFORM, TENANT, TOPIC, Mark
from tests.faults.events.model_redis import Crashed, ModelLink, ModelRedis

NOWHERE = "redis://127.0.0.1:1/0"
"""Nobody connects to it: links are the model's."""
SHARDS = 2


class MakerProcess:
    """A process that relays."""

    def __init__(self, database: Database, server: ModelRedis, clock: FakeClock) -> None:
        self.link = ModelLink(server)
        """Its connection."""
        self.leases = Leases(database, PLATFORM, clock=clock)
        """Its leases."""
        self.relay = Relay(
            database,
            PLATFORM,
            NOWHERE,
            source=MAKER,
            topics=[TOPIC],
            leases=self.leases,
            shards=SHARDS,
            clock=clock,
            window_s=1.0,
        )
        """The relay itself."""
        self.relay._link = self.relay._reconciling._link = self.link  # type: ignore[assignment]

    async def begin(self) -> None:
        """As the relay begins its work, and begins anew after an outage."""
        await self.link.connect()
        if await self.leases.take(LEASE):
            await self.relay._decide_shards()
            self.relay._reconciling.forget()
            await self.relay._compare()

    async def send(self) -> None:
        """Sends a batch, if it believes to be the one who relays."""
        if self.leases.has(LEASE):
            await self.relay._send()

    async def compare(self) -> None:
        """Compares, confirms and trims, likewise."""
        if self.leases.has(LEASE):
            await self.relay._compare()


class KeeperProcess:
    """A process that consumes."""

    def __init__(self, database: Database, server: ModelRedis, clock: FakeClock, group: str, keep: object) -> None:
        self.link = ModelLink(server)
        """Its connection."""
        self.leases = Leases(database, PLATFORM, clock=clock)
        """Its leases."""
        self.consumer = Consumer(
            database,
            PLATFORM,
            NOWHERE,
            group=group,
            handlers={Mark: keep},  # type: ignore[dict-item]
            leases=self.leases,
            clock=clock,
        )
        """The consumer itself."""
        self.consumer._reading = self.consumer._control = self.link  # type: ignore[assignment]
        self._stop = asyncio.Event()

    async def begin(self) -> None:
        """As the consumer begins its work, and begins anew after an outage."""
        await self.link.connect()
        await self.consumer._look()
        await self.consumer._begin(self.consumer.owned, self._stop)
        await self.consumer._own(self._stop)

    async def deliver(self) -> None:
        """Reads, applies, acknowledges; then what is parked and due."""
        if self.consumer.owned:
            await self.consumer._handle(await self.consumer._read_new(), self._stop)
            await self.consumer._settling.settle_parked()

    async def look(self) -> None:
        """What a quiet consumer does now and then: what was left over, and other shards."""
        if not await self.consumer._look(self._stop):
            await self.consumer._own(self._stop)


class Bench:
    """Databases, the model, and at each time one living process of each role; those before it may be zombies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Where the databases are: the ledger reads them."""
        self.clock = FakeClock()
        """Everybody's."""
        self.server = ModelRedis(self.clock)
        """The model."""
        self.databases = {role: SqliteDatabase(folder / f"{role}.db", METADATA) for role in (MAKER, *GROUPS)}
        """One of each role."""
        self.maker = MakerProcess(self.databases[MAKER], self.server, self.clock)
        """The maker that was started last."""
        self.keepers = {group: self._keeper(group) for group in GROUPS}
        """The keepers that were started last."""
        self.zombies: list[MakerProcess | KeeperProcess] = []
        """Those that stand still, and may go on."""
        self._outbox = Outbox(PLATFORM, MAKER)
        self._unwilling = Counter[tuple[str, str]]()

    async def open(self) -> None:
        """Begins."""
        for database in self.databases.values():
            await database.open()
        await self.maker.begin()
        for keeper in self.keepers.values():
            await self.do(keeper, keeper.begin)

    async def close(self) -> None:
        """Ends."""
        for database in self.databases.values():
            await database.close()

    async def commit(self, key: str, mark: str, fails: int) -> None:
        """Commits a mark, which each group takes at the attempt after so many."""
        for group in GROUPS:
            self._unwilling[group, mark] = fails

        def work(connection: sa.Connection) -> None:
            now, key_ = self.clock.now(), f"{TENANT}/{key}"
            number = self._outbox.append(
                connection, Mark(mark=mark), key=key_, subject=f"marks/{mark}", tenant_id=TENANT, now=now
            ).number
            connection.execute(sa.insert(MADE), {"key": key_, "number": number, "mark": mark})

        await self.databases[MAKER].write(work)

    async def do(self, process: MakerProcess | KeeperProcess, step: Callable[[], Awaitable[None]]) -> None:
        """Does a step of a process; one that ends in it, or that has lost its leases, is as after that."""
        try:
            try:
                await step()
            except RedisUnavailable:
                await process.begin()
        except LeaseLost:
            if isinstance(process, KeeperProcess):
                process.consumer._ownership.forget()
        except Crashed:
            pass

    async def replace(self, role: str, *, undead: bool) -> None:
        """Starts a process in the place of another, which has ended or stands still."""
        old: MakerProcess | KeeperProcess
        if role == MAKER:
            old, self.maker = self.maker, MakerProcess(self.databases[MAKER], self.server, self.clock)
        else:
            old, self.keepers[role] = self.keepers[role], self._keeper(role)
        if undead:
            self.zombies.append(old)
        new = self.maker if role == MAKER else self.keepers[role]
        await new.leases.beat()
        self.tick(TTL_S)
        await new.leases.beat()
        await self.do(new, new.begin)

    def tick(self, seconds: float) -> None:
        """Lets time pass."""
        self.clock.advance(seconds)

    def _keeper(self, group: str) -> KeeperProcess:
        return KeeperProcess(self.databases[group], self.server, self.clock, group, partial(self._keep, group))

    def _keep(self, group: str, transaction: ConsumerTransaction, event: Event) -> None:
        mark = event.message.mark
        if self._unwilling[group, mark] > 0:
            self._unwilling[group, mark] -= 1
            raise ValueError(mark)
        row = {"key": event.envelope.key, "number": event.envelope.number, "mark": mark, "latency_s": 0.0}
        transaction.connection.execute(sa.insert(KEPT), row)
