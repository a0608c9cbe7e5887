"""The world of the proof: one Redis, a maker and two groups of keepers in processes of their own, and their ledger."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from redis import Redis
from trunkline.launcher.embedded import EmbeddedRedis

from tests.faults.events.ledger import Verdict, judge, rows_of
from tests.faults.events.marks import GROUPS, MAKER
from tests.faults.events.programs import TRAFFIC, Start, run

HEAL_S = 30.0
"""Seconds within which everything must be drained, once nothing is broken any more."""
ROLES = (MAKER, *GROUPS)
_CONTEXT = multiprocessing.get_context("forkserver")
# A process starts in tens of milliseconds: all it needs is there before it is forked. Nothing of gRPC has begun then.
_CONTEXT.set_forkserver_preload(["tests.faults.events.programs"])


class Member:
    """A process of the world."""

    def __init__(self, start: Start) -> None:
        self.role = start.role
        """What it is."""
        self._process = _CONTEXT.Process(target=run, args=(start,), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        """Its process."""

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it has not."""
        return self._process.exitcode

    @property
    def stopped(self) -> bool:
        """Whether it stands still."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it is there."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self, bound_s: float) -> int:
        """Waits for its end, and gives its exit code."""
        await until(lambda: self.exit_code is not None, f"{self.role} has ended", bound_s)
        assert self.exit_code is not None
        return self.exit_code


class World:
    """All of it. A round is a name that its keys have."""

    def __init__(self, folder: Path, redis: EmbeddedRedis, url: str = "") -> None:
        self.folder = folder
        """Databases and logs."""
        self.redis = redis
        """The server."""
        self.url = url or redis.url
        """Where processes believe it to be."""
        self.members: list[Member] = []
        """Those that were started and have not been seen to end."""

    def start(self, role: str, faults: str = "", *, quiet: bool = False) -> Member:
        """Starts a process; a quiet maker only relays."""
        member = Member(Start(role, self.folder, self.url, faults, quiet))
        self.members = [one for one in self.members if one.exit_code is None] + [member]
        return member

    def alive(self, role: str) -> list[Member]:
        """Its processes of a role."""
        return [one for one in self.members if one.role == role and one.exit_code is None]

    async def end(self, *members: Member) -> None:
        """Asks processes to end, and waits until they have."""
        for one in members:
            one.signal(signal.SIGCONT)
            one.signal(signal.SIGTERM)
        for one in members:
            # One that was asked before it could listen has done nothing yet.
            assert await one.ended(20) in (0, -signal.SIGTERM), f"{one.role} ended with {one.exit_code}"

    def trade(self, name: str, kind: str = "willing") -> None:
        """Has makers commit marks of a round from now on."""
        file = self.folder / f"{TRAFFIC}.new"
        file.write_text(f"{name} {kind}")
        file.replace(self.folder / TRAFFIC)

    def rest(self) -> None:
        """Has makers commit nothing more."""
        (self.folder / TRAFFIC).unlink(missing_ok=True)

    def judge(self) -> Verdict:
        """The ledger as it is."""
        return judge(self.folder)

    async def begun(self) -> None:
        """Waits until all databases are there."""
        await until(lambda: is_begun(self.folder), "the databases are there")

    async def grown(self, by: int, bound_s: float = HEAL_S) -> None:
        """Waits until so many more marks are committed."""
        before = (await asyncio.to_thread(self.judge)).committed
        await until(lambda: self.judge().committed >= before + by, f"{by} more commits", bound_s)

    async def drained(self, bound_s: float = HEAL_S) -> Verdict:
        """Waits until nothing is left to complain about, as long as that may take; what is unsafe is told at once."""
        end = time.monotonic() + bound_s
        while True:
            verdict = await asyncio.to_thread(self.judge)
            shown = "\n  ".join(verdict.complaints[:20])
            assert not verdict.unsafe, f"unsafe:\n  {shown}"
            if not verdict.complaints:
                return verdict
            assert time.monotonic() < end, f"still after {bound_s:.0f} s, {len(verdict.complaints)} in all:\n  {shown}"
            await asyncio.sleep(0.05)


def is_begun(folder: Path) -> bool:
    """Whether each role has its database, with its tables."""
    try:
        return all(rows_of(folder / f"{role}.db", "SELECT count(*) FROM lease") for role in ROLES)
    except sqlite3.OperationalError:
        return False


async def until(condition: object, what: str, bound_s: float = HEAL_S) -> None:
    """Waits for a condition, looked at beside the event loop."""
    end = time.monotonic() + bound_s
    while not await asyncio.to_thread(condition):  # type: ignore[arg-type]
        assert time.monotonic() < end, f"not within {bound_s:.0f} s: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def world(folder: Path, *, persistent: bool = True) -> AsyncIterator[World]:
    """A world with its Redis, and no processes yet; whatever was started in it is ended."""
    redis = EmbeddedRedis(folder / "redis", persistent=persistent)
    await redis.start()
    small_nodes(redis)
    one = World(folder, redis)
    try:
        yield one
    finally:
        for member in one.members:
            member.signal(signal.SIGKILL)
        redis.kill()


def small_nodes(redis: EmbeddedRedis) -> None:
    """Has the server keep streams in small pieces: whole pieces are trimmed, and much is to be trimmed here."""
    with Redis.from_url(redis.url) as client:
        client.config_set("stream-node-max-entries", 4)
