"""Several processes of one group on one database, killed and stopped: each event one effect, each key in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis
from trunkline.storage import Database

from tests.trunkline.events.notes import GROUP, PLATFORM, SEEN, add, envelope, opened, rows, until

ROOT = Path(__file__).parents[3]
KEYS = [f"t/s/{number}" for number in range(24)]
START_S = 30.0
"""Seconds a process may take until it works, on a machine with much to do."""
TAKE_OVER_S = 10.0
"""Seconds within which shards have changed hands."""
TTL_S = 0.9
PACE_S = 0.02
"""Seconds between two rounds of events."""

Process = asyncio.subprocess.Process


class Group:
    """The processes, and what is seen of them in their database."""

    def __init__(self, directory: Path, url: str, database: Database, client: Redis) -> None:
        self.database = database
        self.diary = directory / "diary"
        self.log = directory / "log"
        self._file = directory / "reader.db"
        self._url = url
        self._client = client
        self._processes: list[Process] = []
        self._sent = 0

    async def join(self, *, takes_s: float = 0.0, faults: str = "") -> Process:
        """Starts a process of the group."""
        program = [sys.executable, "-m", "tests.faults.events.member_program", self._file, self._url, self.diary]
        given = ["--ttl-s", TTL_S, "--takes-s", takes_s, *(["--faults", faults] if faults else [])]
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(*map(str, [*program, *given]), cwd=ROOT, stdout=log)
        self._processes.append(process)
        return process

    async def leave(self, process: Process) -> int:
        """Ends a process as an operator does; gives its exit status."""
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_S):
            return await process.wait()

    async def end(self) -> None:
        """Leaves nothing behind."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def owned(self) -> dict[int, int]:
        """Process id → how many shards it owns, of those that live as far as the others know."""
        workers = {row["id"]: row["pid"] for row in await rows(self.database, PLATFORM.worker)}
        owners = [row["worker_id"] for row in await rows(self.database, PLATFORM.lease)]
        return dict(Counter(workers[owner] for owner in owners if owner is not None))

    async def owned_by(self, *processes: Process, bound_s: float = START_S) -> float:
        """Waits until these own all shards, evenly; gives the seconds that took."""
        began = time.monotonic()
        wanted = {process.pid: 8 // len(processes) for process in processes}

        async def so() -> bool:
            return await self.owned() == wanted

        await until(so, bound_s)
        return time.monotonic() - began

    async def send(self, numbers: int = 1) -> None:
        """Adds the next events of all keys to their streams."""
        for _ in range(numbers):
            self._sent += 1
            for key in KEYS:
                await add(self._client, envelope(self._sent, key=key), key=key)

    async def effects(self) -> dict[str, list[int]]:
        """Key → the numbers of its effects, in their order."""
        query = sa.select(SEEN.c.key, SEEN.c.number).order_by(SEEN.c.id)
        found: dict[str, list[int]] = {key: [] for key in KEYS}
        for key, number in await self.database.read(lambda connection: connection.execute(query).all()):
            found[key].append(number)
        return found

    async def all_applied(self) -> None:
        """Waits until every event had its effect, and checks that each had one, in order."""
        wanted = list(range(1, self._sent + 1))

        async def count() -> bool:
            return sum(map(len, (await self.effects()).values())) >= len(KEYS) * self._sent

        await until(count, START_S)
        assert await self.effects() == dict.fromkeys(KEYS, wanted)
        assert await rows(self.database, PLATFORM.hole) == []
        assert await rows(self.database, PLATFORM.dead_letter) == []

    async def nothing_pending(self) -> None:
        """Waits until all entries are acknowledged."""

        async def none() -> bool:
            streams = [f"{{notes:{shard}}}" for shard in range(8)]
            return not any([(await self._client.xpending(stream, GROUP))["pending"] for stream in streams])

        await until(none, START_S)


@pytest.fixture
async def group(tmp_path: Path, url: str, client: Redis) -> AsyncIterator[Group]:
    """A group that nobody has joined."""
    async with opened(tmp_path / "reader.db") as database:
        group = Group(tmp_path, url, database, client)
        try:
            yield group
        finally:
            await group.end()


@asynccontextmanager
async def traffic(group: Group) -> AsyncIterator[Callable[[], int]]:
    """Events of all keys, all the time."""
    rounds, stop = 0, asyncio.Event()

    async def send() -> None:
        nonlocal rounds
        while not stop.is_set():
            await group.send()
            rounds += 1
            await asyncio.sleep(PACE_S)

    sending = asyncio.create_task(send())
    try:
        yield lambda: rounds
    finally:
        stop.set()
        await sending


async def _after(rounds: Callable[[], int], more: int) -> None:
    enough = rounds() + more
    await until(lambda: rounds() >= enough, START_S)


async def test_processes_join_and_leave(group: Group):
    """E17: shards are shared within 10 s of a join and of a leave, while events go on: each key in order, each once."""
    first = await group.join()
    await group.owned_by(first)
    async with traffic(group) as rounds:
        second = await group.join()
        await until(lambda: _working(group, 2), START_S)
        assert await group.owned_by(first, second) <= TAKE_OVER_S
        await _after(rounds, 5)
        began = time.monotonic()
        assert await group.leave(first) == 0
        await group.owned_by(second)
        assert time.monotonic() - began <= TAKE_OVER_S
        await _after(rounds, 5)
    await group.all_applied()
    await group.nothing_pending()
    assert await group.leave(second) == 0
    assert await group.owned() == {}


async def test_one_is_killed(group: Group):
    """E2: what a process that was killed had been given is applied by another within 10 s, and nothing twice."""
    first, second = await group.join(), await group.join()
    await group.owned_by(first, second)
    async with traffic(group) as rounds:
        await _after(rounds, 3)
        first.kill()
        await first.wait()
        assert await group.owned_by(second) <= TAKE_OVER_S
        await _after(rounds, 3)
    await group.all_applied()
    await group.nothing_pending()


@pytest.mark.parametrize("point", ["consumer.after_read", "consumer.after_commit"])
async def test_one_stops_and_wakes_after_its_death(group: Group, point: str):
    """E2: one that stops with events in hand loses its shards; when it wakes it is refused what it does with them."""
    sleeper, other = await group.join(faults=f"{point}=stop@3"), await group.join()
    await group.owned_by(sleeper, other)
    async with traffic(group) as rounds:
        await group.owned_by(other)
        await _after(rounds, 3)
        os.kill(sleeper.pid, signal.SIGCONT)
        # It comes back as a new worker, and gets its share again.
        await group.owned_by(other, sleeper)
        await _after(rounds, 3)
    await group.all_applied()
    await group.nothing_pending()
    assert await group.leave(sleeper) == 0
    if point == "consumer.after_read":
        assert "shards are another process's now" in group.log.read_text("utf-8")


async def test_a_long_handler_runs_once(group: Group):
    """E14: a handler that takes three times as long as a lease lasts keeps it: nobody else begins with the event."""
    first, second = await group.join(takes_s=3 * TTL_S), await group.join(takes_s=3 * TTL_S)
    await group.owned_by(first, second)
    await add(group._client, envelope(1, key=KEYS[0]), envelope(2, key=KEYS[0]), key=KEYS[0])

    async def applied() -> bool:
        return (await group.effects())[KEYS[0]] == [1, 2]

    await until(applied, START_S)
    await group.nothing_pending()
    diary = [line.split() for line in group.diary.read_text("ascii").splitlines()]
    assert [(what, number) for what, _, _, number in diary] == [
        ("begins", "1"),
        ("ends", "1"),
        ("begins", "2"),
        ("ends", "2"),
    ]
    assert len({pid for _, pid, _, _ in diary}) == 1
    await group.owned_by(first, second)


async def _working(group: Group, processes: int) -> bool:
    return len(await rows(group.database, PLATFORM.worker)) == processes
