"""Leases: what one process at a time may do on a database that several processes share.

Nobody's clock decides. A worker counts its beats; who sees no new beat for TTL_S by a monotonic clock of its own
declares the worker dead, unless it has beaten meanwhile. What is done under a lease is checked in the transaction that
does it, so a worker that slept through its death changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import sqlalchemy as sa
import structlog

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError
from trunkline.storage.database import Database
from trunkline.storage.tables import PlatformTables

TTL_S = 3.0
"""Seconds without a beat after which a worker is dead. One whose process is known to have ended is dead at once."""
BEAT_S = 1.0
"""Seconds between two beats."""
_log = structlog.get_logger("trunkline.storage")


class LeaseLost(Exception):
    """What was done is of another worker now: nothing of it may be kept."""


@dataclass(frozen=True, slots=True)
class Holders:
    """Who works on a database and what is theirs, as of the last beat."""

    workers: Mapping[str, str] = field(default_factory=dict)
    """Id of each living worker → its label."""
    leases: Mapping[str, str | None] = field(default_factory=dict)
    """Name of each lease that was ever taken → id of the worker that has it; None: nobody."""

    def of(self, worker_id: str) -> set[str]:
        """What a worker has."""
        return {name for name, owner in self.leases.items() if owner == worker_id}


class Leases:
    """This process as a worker on a database. It works from its first beat on, until it is told to stop."""

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        *,
        clock: Clock = SYSTEM_CLOCK,
        ttl_s: float = TTL_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self.worker_id = ""
        """Its id; another one after it was declared dead; empty before its first beat and after its last."""
        self.holders = Holders()
        """What it saw at its last beat."""
        self._database = database
        self._worker, self._lease = worker, lease = tables.worker, tables.lease
        # Made once: these two stand in every transaction of a relay or a consumer.
        self._beat_one = sa.update(worker).where(worker.c.id == sa.bindparam("_id")).values(beat=worker.c.beat + 1)
        self._hold_one = (
            sa.select(worker.c.id).where(worker.c.id == sa.bindparam("_id")).with_for_update(read=True, key_share=True)
        )
        self._count_of = sa.select(sa.func.count()).where(
            lease.c.worker_id == sa.bindparam("_id"), lease.c.name.in_(sa.bindparam("_names", expanding=True))
        )
        self._clock = clock
        self._ttl_s, self._beat_s = ttl_s, beat_s
        self._beaten = float("-inf")
        self._seen: dict[str, tuple[int, float]] = {}
        self._watchers: list[Callable[[], None]] = []
        self._beating = asyncio.Lock()

    def watch(self, changed: Callable[[], None]) -> None:
        """Calls changed after each beat that saw other workers or other owners than the one before."""
        self._watchers.append(changed)

    async def run(self, stop: asyncio.Event) -> None:
        """Beats until stop is set, and then a little more: its leases are given back by `end`, when work has ended."""
        while not stop.is_set():
            try:
                await self.beat()
            except ServiceError as error:
                _log.warning("no beat: the database is away", error=str(error))
            try:
                async with asyncio.timeout(self._beat_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async def beat(self) -> None:
        """Shows that it lives, and looks who else does; dead ones lose what they had.

        Raises:
            ServiceError: the database is away.
        """
        # One at a time: relay, consumer and run() may all find that it has no name yet, or has lost it.
        async with self._beating:
            await self._beat_and_look()

    async def _beat_and_look(self) -> None:
        before, began = self.holders, self._clock.monotonic()
        if not self.worker_id or not await self._database.write(self._beat):
            if self.worker_id:
                _log.warning("this process was taken for dead; it begins anew", worker=self.worker_id)
            self.worker_id = await self._database.write(self._register)
        self._excuse(self._clock.monotonic() - began)
        workers, leases = await self._database.read(self._look)
        dead = [id_ for id_, row in workers.items() if id_ != self.worker_id and self._is_dead(id_, row)]
        for id_ in dead:
            if await self._database.write(partial(self._bury, id_=id_, beat=workers[id_].beat)):
                _log.warning("a worker is dead; what it had is free", worker=workers[id_].label)
                leases = {name: None if owner == id_ else owner for name, owner in leases.items()}
                del workers[id_]
        self._seen = {id_: seen for id_, seen in self._seen.items() if id_ in workers}
        self.holders = Holders({id_: row.label for id_, row in workers.items()}, leases)
        if self.holders != before:
            for changed in self._watchers:
                changed()

    async def take(self, *names: str) -> bool:
        """Takes leases that nobody has; says whether this worker has all of them now. One commit takes them all.

        Raises:
            ServiceError: the database is away.
        """
        if not self.worker_id:
            await self.beat()
        taken = await self._database.write(lambda connection: self._take_all(connection, names))
        for name in taken:
            self._note(name, self.worker_id)
        return len(taken) == len(names)

    async def give_back(self, names: Collection[str]) -> None:
        """Gives leases back, for others to take; those it does not have are left alone.

        Raises:
            ServiceError: the database is away: others have to wait until this worker is dead.
        """
        table, mine = self._lease, self.worker_id
        statement = sa.update(table).where(table.c.name.in_(list(names)), table.c.worker_id == mine)
        await self._database.write(lambda connection: connection.execute(statement.values(worker_id=None)).rowcount)
        for name in names:
            if self.holders.leases.get(name) == mine:
                self._note(name, None)

    async def end(self) -> None:
        """Gives everything back: others need not wait. To be called when all work under leases has ended."""
        mine, self.worker_id = self.worker_id, ""
        if not mine:
            return
        try:
            await self._database.write(lambda connection: self._free(connection, mine))
        except ServiceError as error:
            _log.warning("leases were not given back", error=str(error))

    def has(self, name: str) -> bool:
        """Whether it has a lease, as far as it knows. What is done under it is checked by `require`."""
        return bool(self.worker_id) and self.holders.leases.get(name) == self.worker_id

    def is_free(self, name: str) -> bool:
        """Whether nobody else had a lease at the last beat: it is worth a try to take it."""
        owner = self.holders.leases.get(name)
        return owner is None or owner == self.worker_id

    def require(self, connection: sa.Connection, names: Collection[str]) -> None:
        """Lets a transaction go on only if this worker has these leases until it ends; also shows that it lives.

        To be called first in the transaction: nobody can declare the worker dead from then on until its end.

        Raises:
            LeaseLost: it has not.
        """
        mine = self.worker_id
        if not mine or not self._hold(connection):
            raise LeaseLost("this process was taken for dead")
        if connection.scalar(self._count_of, {"_id": mine, "_names": list(names)}) != len(set(names)):
            raise LeaseLost(f"not all of these are this process's: {', '.join(sorted(names))}")

    def _note(self, name: str, owner: str | None) -> None:
        self.holders = Holders(self.holders.workers, {**self.holders.leases, name: owner})

    def _hold(self, connection: sa.Connection) -> bool:
        # Where writers work side by side, beats in all of their transactions would have them wait for one another, and
        # begin again: between two beats a lock that they share keeps the worker from being declared dead.
        if connection.dialect.name != "postgresql" or self._clock.monotonic() >= self._beaten + self._beat_s:
            return self._beat(connection)
        return connection.execute(self._hold_one, {"_id": self.worker_id}).first() is not None

    def _beat(self, connection: sa.Connection) -> bool:
        self._beaten = self._clock.monotonic()
        return connection.execute(self._beat_one, {"_id": self.worker_id}).rowcount == 1

    def _register(self, connection: sa.Connection) -> str:
        id_ = uuid.uuid4().hex
        connection.execute(
            sa.insert(self._worker).values(
                id=id_,
                label=f"{socket.gethostname()}:{os.getpid()}",
                machine=machine(),
                pid=os.getpid(),
                beat=0,
                start_time=self._clock.now(),
            )
        )
        return id_

    def _look(self, connection: sa.Connection) -> tuple[dict[str, sa.Row[tuple[str, ...]]], dict[str, str | None]]:
        workers = {row.id: row for row in connection.execute(sa.select(self._worker))}
        columns = self._lease.c
        leases = {row.name: row.worker_id for row in connection.execute(sa.select(columns.name, columns.worker_id))}
        return workers, leases

    def _excuse(self, waited_s: float) -> None:
        """Does not count the time in which this one could not beat, either: what held it up may have held up others."""
        self._seen = {id_: (beat, since + waited_s) for id_, (beat, since) in self._seen.items()}

    def _is_dead(self, id_: str, row: sa.Row[tuple[str, ...]]) -> bool:
        now = self._clock.monotonic()
        beat, since = self._seen.get(id_, (None, now))
        if beat != row.beat:
            self._seen[id_] = row.beat, now
            since = now
        return now - since >= self._ttl_s or _has_ended(row.machine, row.pid)

    def _bury(self, connection: sa.Connection, *, id_: str, beat: int) -> bool:
        table = self._worker
        # A row that is locked is being beaten: one who waited for that would be silent itself meanwhile.
        silent = sa.select(table.c.id).where(table.c.id == id_, table.c.beat == beat)
        if connection.execute(silent.with_for_update(skip_locked=True)).first() is None:
            return False  # it has beaten meanwhile
        self._free(connection, id_)
        return True

    def _free(self, connection: sa.Connection, id_: str) -> None:
        connection.execute(sa.delete(self._worker).where(self._worker.c.id == id_))
        connection.execute(sa.update(self._lease).where(self._lease.c.worker_id == id_).values(worker_id=None))

    def _take_all(self, connection: sa.Connection, names: Collection[str]) -> list[str]:
        if not self._beat(connection):
            return []  # dead, and not aware of it
        return [name for name in names if self._take(connection, name)]

    def _take(self, connection: sa.Connection, name: str) -> bool:
        table, mine = self._lease, {"worker_id": self.worker_id, "take_time": self._clock.now()}
        free = sa.update(table).where(table.c.name == name, table.c.worker_id.is_(None))
        if connection.execute(free.values(term=table.c.term + 1, **mine)).rowcount == 1:
            return True
        owner = connection.execute(sa.select(table.c.worker_id).where(table.c.name == name)).first()
        if owner is not None:
            return bool(owner.worker_id == self.worker_id)
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(table).values(name=name, term=1, **mine))
        except sa.exc.IntegrityError:
            return False  # somebody else was faster
        return True


@cache
def machine() -> str:
    """Where process ids mean the same: this boot of the kernel, and this namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode()}"


def _has_ended(of: str, pid: int) -> bool:
    """Whether a process is known to have ended; one that has the pid now is not told from it, unless it is this one."""
    if of != machine():
        return False
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # there is such a process, of another user
    return False
