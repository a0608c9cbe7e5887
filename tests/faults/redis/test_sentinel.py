"""A master that dies, and Sentinels that name another: events and state go on there, nothing lost or done twice."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError
from trunkline.launcher.embedded import find_server
from trunkline.launcher.ports import free_port
from trunkline.policies.rate import Ask, RateLimit
from trunkline.registry.instance import Instance
from trunkline.registry.redis import RedisRegistry
from trunkline.registry.registry import RegistryUnavailable
from trunkline.state import redis_rates
from trunkline.state.redis_rates import RedisRates
from trunkline.state.redis_store import RedisStore
from trunkline.storage import Database

from tests.trunkline.events.notes import PLATFORM, consumer, opened, publish, relay, rows, running, until, until_seen

NAME, DOWN_MS = "mymaster", 700
BOUND_S = 30.0


class Three:
    """A master, its replica, and a Sentinel; the master can be killed."""

    def __init__(self, folder: Path) -> None:
        self.master, self.replica, self.sentinel = free_port(), free_port(), free_port()
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Address of the Sentinel."""
        return f"redis+sentinel://127.0.0.1:{self.sentinel}/{NAME}/0"

    def start(self) -> None:
        """Starts the master and its replica."""
        self._begin(self.master, [])
        self._begin(self.replica, ["--replicaof", "127.0.0.1", str(self.master)])

    def watch(self) -> None:
        """Starts the Sentinel."""
        told = self._folder / "sentinel.conf"
        told.write_text(
            f"port {self.sentinel}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {self.master} 1\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}\nsentinel failover-timeout {NAME} 3000\n"
        )
        self._spawn(self.sentinel, [str(find_server()), str(told), "--sentinel"])

    def kill_master(self) -> None:
        """Ends it at once."""
        process = self._processes.pop(self.master)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Ends all that runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _begin(self, port: int, options: list[str]) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        plain = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._spawn(port, [str(find_server()), *plain, *options])

    def _spawn(self, port: int, command: list[str]) -> None:
        with (self._folder / f"{port}.log").open("wb") as log:
            self._processes[port] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@contextmanager
def three(folder: Path) -> Iterator[Three]:
    """Three processes for the length of a block."""
    found = Three(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Three]:
    """They know each other: a failover can succeed."""
    with three(tmp_path) as found:
        await until(lambda: _copies(found), BOUND_S)
        found.watch()
        await until(lambda: _may_be_promoted(found), BOUND_S)
        yield found


async def _copies(found: Three) -> bool:
    try:
        async with Redis(port=found.replica, protocol=2) as replica:
            told: Any = await replica.info("replication")
            return bool(told["master_link_status"] == "up")
    except (RedisError, OSError):
        return False


async def _may_be_promoted(found: Three) -> bool:
    """A replica that the Sentinel has heard of only, and not heard from, is no good one: NOGOODSLAVE."""
    try:
        async with Redis(port=found.sentinel, protocol=2) as sentinel:
            known: Any = await sentinel.execute_command("SENTINEL", "REPLICAS", NAME)  # type: ignore[no-untyped-call]
            told = [dict(zip(row[::2], row[1::2], strict=True)) for row in known]
            return [(row[b"flags"], row[b"master-link-status"]) for row in told] == [(b"slave", b"ok")]
    except (RedisError, OSError):
        return False


@pytest.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[Database]:
    """Database of the notebook."""
    async with opened(tmp_path / "publisher.db") as database:
        yield database


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Database]:
    """Database of the reader."""
    async with opened(tmp_path / "reader.db") as database:
        yield database


async def test_events_go_on_at_the_new_master(publisher: Database, reader: Database, servers: Three):
    """F1: the master is killed among events: the next one has all of them, each once and in order, no hole left."""
    sender, receiver = relay(publisher, servers.url), consumer(reader, servers.url)
    async with running(sender, receiver):
        await publish(publisher, *(str(number) for number in range(1, 51)))
        sender.wake()
        await until(lambda: receiver.counts.applied >= 20, BOUND_S)
        servers.kill_master()
        await publish(publisher, *(str(number) for number in range(51, 101)))
        sender.wake()
        await until(lambda: receiver.counts.applied == 100, BOUND_S)
        await until_seen(reader, list(range(1, 101)))
    assert await rows(reader, PLATFORM.hole) == []
    assert await rows(reader, PLATFORM.dead_letter) == []


async def test_state_goes_on_at_the_new_master(servers: Three):
    """F1: what was kept and copied is there; while there is no master, an error says so."""
    store = RedisStore(servers.url, database=0, prefix="t:")
    try:
        await store.put("kept", b"one", ttl_s=600)
        async with Redis(port=servers.replica, protocol=2) as replica:
            await until(lambda: replica.exists("t:kept"), BOUND_S)
        servers.kill_master()
        failures = 0

        async def found() -> bool:
            nonlocal failures
            try:
                return (await store.get("kept")) is not None
            except ServiceError as error:
                failures += error.reason.startswith("STATE_")
                return False

        await until(found, BOUND_S)
        assert failures > 0
        await store.put("new", b"two", ttl_s=600)
    finally:
        await store.close()


def item(number: int) -> Instance:
    """An instance that serves."""
    address = f"127.0.0.1:{5000 + number}"
    return Instance(
        service="item", instance_id=f"i{number}", address=address, state="serving", start_time=float(number)
    )


async def test_the_registry_goes_on_at_the_new_master(servers: Three):
    """F1: instances that were copied are there; while there is no master, RegistryUnavailable says so."""
    registry = RedisRegistry(servers.url)
    there = item(1)
    try:
        await registry.renew(there, 600)
        async with Redis(port=servers.replica, protocol=2) as replica:
            await until(lambda: replica.exists("trunkline:registry:{item}"), BOUND_S)
        servers.kill_master()
        failures = 0

        async def found() -> bool:
            nonlocal failures
            try:
                await registry.renew(there, 600)
            except RegistryUnavailable:
                failures += 1
                return False
            return True

        await until(found, BOUND_S)
        assert failures > 0
        assert await registry.read(["item"]) == {"item": [there]}
    finally:
        await registry.close()


async def test_the_registry_leaves_a_server_that_is_master_no_more(servers: Three):
    """F9: READONLY is an outage of a moment: the next connection is made to the new master."""
    registry = RedisRegistry(servers.url)
    there = item(1)
    try:
        await registry.renew(there, 600)
        async with Redis(port=servers.sentinel, protocol=2) as sentinel:
            await sentinel.execute_command("SENTINEL", "FAILOVER", NAME)  # type: ignore[no-untyped-call]

        async def moved() -> bool:
            try:
                await registry.renew(item(2), 600)
            except RegistryUnavailable:
                return False
            async with Redis(port=servers.replica, protocol=2) as replica:
                told: Any = await replica.info("replication")
                return told["role"] == "master" and bool(await replica.hexists("trunkline:registry:{item}", "i2"))

        await until(moved, BOUND_S)
    finally:
        await registry.close()


async def test_rates_are_shared_again_at_the_new_master(servers: Three, monkeypatch: pytest.MonkeyPatch):
    """F1, F14: while there is no master each process holds the limits alone; then they are shared at the new one."""
    monkeypatch.setattr(redis_rates, "ANSWER_S", 0.5)
    rates, ask = RedisRates(servers.url, SYSTEM_CLOCK), Ask("acme", RateLimit(1.0, 100), 1)
    try:
        answer = rates.ask([ask])
        assert not isinstance(answer, float)
        assert await answer == 0.0
        servers.kill_master()
        answer = rates.ask([ask])
        assert (answer if isinstance(answer, float) else await answer) == 0.0
        assert rates.decided_by == "local"
        await until(lambda: rates.decided_by == "redis", BOUND_S)
        answer = rates.ask([ask])
        assert not isinstance(answer, float)
        assert await answer == 0.0
        async with Redis(port=servers.replica, db=redis_rates.DATABASE, protocol=2) as replica:
            assert await replica.exists(f"{redis_rates.PREFIX}acme")
    finally:
        await rates.close()
