"""A group of workers on one port: nobody else gets the port, whoever dies is followed, and no call is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from trunkline.worker_link import VARIABLE

from tests.faults.calls.books import effects
from tests.faults.calls.calling import Caller, calling
from tests.faults.calls.instance import ROOT
from tests.faults.calls.load import Outcome, open_loop
from tests.faults.lifecycle.running import Running, gone
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-workers")
PER_S = 50.0
"""Calls a second, of a caller that does not wait for its answers."""
CALLERS = 8
"""Channels: the kernel gives each connection to one of the workers."""
PATIENT = {"retry_attempts": 5, "retry_backoff_base_s": 0.2, "retry_budget_ratio": 1.0}
"""Settings with which repeats outlast a connection that the kernel gives to a worker while it dies: gRPC waits 0.1 s
before it tries the next one, and the three attempts of the default are sometimes over by then. A channel carries six
calls a second here, and has made a few when the worker dies: as shipped, the budget pays for one or two repeats."""
PING = "trunk.testing.v1.PingService/Ping"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers for all tests that leave two workers behind."""
    with Running(tmp_path_factory.mktemp("workers"), TRUNKLINE_WORKERS=2) as running:
        yield running


@asynccontextmanager
async def callers(target: str, **settings: Any) -> AsyncIterator[list[Caller]]:
    """So many callers that all workers have some."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(calling(target, **settings)) for _ in range(CALLERS)]


async def loaded(on: list[Caller], key: str, seconds: float) -> list[Outcome]:
    """The failures of a load at 50 calls a second."""

    async def call(number: int) -> None:
        await on[number % len(on)].ping(f"{key}-{number}", timeout=5.0, sleep_ms=20)

    return [one for one in await open_loop(call, per_s=PER_S, seconds=seconds) if one.reason]


def beginning(pid: int) -> tuple[str, str]:
    """Command and environment that a process was begun with: those of its parent, where it is a fork."""
    command, environment = (Path(f"/proc/{pid}/{name}").read_bytes().decode() for name in ("cmdline", "environ"))
    return command, environment


async def test_workers_are_started_and_never_forked(shared: Running):
    """B18: a worker is a process of the same command, begun with an environment of its own, which no fork has; nothing
    of the library forks.
    """
    pids = shared.workers()
    assert len(pids) == 2
    of_parent, *of_workers = (beginning(pid) for pid in (shared.pid, *pids))
    assert {command for command, _ in of_workers} == {of_parent[0]}
    assert all(f"{VARIABLE}=" in environment for _, environment in of_workers)
    assert f"{VARIABLE}=" not in of_parent[1]
    sources = [path.read_text() for path in (ROOT / "platform" / "trunkline").rglob("*.py")]
    assert not [one for one in sources if "os.fork" in one or "multiprocessing" in one]


@pytest.mark.parametrize("workers", [1, 2])
async def test_nobody_else_gets_the_port(shared: Running, tmp_path, workers):
    """A second server on the port of a group, and a second group, end with 2 and say so; the group serves on."""
    other = Running(tmp_path, port=shared.port, TRUNKLINE_WORKERS=workers)
    other.begin()
    assert await asyncio.to_thread(other.ended) == 2
    assert f"127.0.0.1:{shared.port} is in use by another process" in other.log
    async with calling(shared.target) as caller:
        await caller.is_well()


async def test_a_group_does_not_get_the_port_of_a_server(tmp_path):
    """A group beside a server that has its port to itself ends with 2; so does one whose metrics have no port."""
    with Running(tmp_path / "one") as alone:
        for number, variables in enumerate(({"port": alone.port}, {"TRUNKLINE_METRICS_PORT": alone.metrics_port})):
            group = Running(tmp_path / f"group-{number}", **{"TRUNKLINE_WORKERS": 2, **variables})  # type: ignore[arg-type]
            group.begin()
            assert await asyncio.to_thread(group.ended) == 2
            assert "is in use by another process" in group.log


async def test_a_free_port_is_picked_once(tmp_path):
    """Port 0: the parent picks one, and all workers serve there."""
    with Running(tmp_path, port=0, TRUNKLINE_WORKERS=2) as group:
        ports = {line["port"] for line in group.said("serving")}
        assert len(ports) == 1
        async with calling(f"127.0.0.1:{ports.pop()}") as caller:
            await caller.is_well()


async def test_workers_share_a_database(tmp_path, key: str):
    """A service that keeps a database has workers, too: what each of them was told is in it, once."""
    with Running(tmp_path, TRUNKLINE_WORKERS=2, LIFE_KEEPS=1) as group:
        async with callers(group.target) as on:
            names = [f"{key}-{number}" for number in range(len(on) * 5)]
            await asyncio.gather(*(caller.add(name) for caller, name in zip(on * 5, names, strict=True)))
        assert group.counted("trunkline_workers") == 2
        file = tmp_path / "var" / "life" / "life.db"
        assert [effects(file, name) for name in names] == [[5]] * len(names)


async def test_counts_of_all_workers_are_one(shared: Running, key: str):
    """The parent tells the sum of what its workers count, and of each what is no sum."""
    before = shared.counted("grpc_server_call_started_total", grpc_method=PING)
    async with callers(shared.target) as on:
        for number, caller in enumerate(on * 5):
            await caller.ping(f"{key}-{number}")
    assert shared.counted("grpc_server_call_started_total", grpc_method=PING) == before + 5 * CALLERS
    assert shared.counted("trunkline_workers") == 2
    for worker in ("1", "2"):
        assert shared.counted("process_resident_memory_bytes", worker=worker) > 10_000_000


async def test_a_worker_is_killed_under_load(shared: Running, key: str):
    """A worker dies by kill -9 under 50 calls a second: its calls are repeated at the other, another worker follows, no
    caller sees an error, and what the dead one had counted when it was asked last stays counted.
    """
    victim, other = shared.workers()
    restarts = shared.counted("trunkline_worker_restarts_total")
    async with callers(shared.target, **PATIENT) as on:
        load = asyncio.create_task(loaded(on, key, 6.0))
        await until(lambda: shared.journal.count(f"{key}-50", "began"), "the load has begun")
        before = shared.counted("grpc_server_call_started_total", grpc_method=PING)
        os.kill(victim, signal.SIGKILL)
        assert await load == []
        await until(lambda: len(shared.workers()) == 2, "another worker follows")
        await until(lambda: shared.counted("trunkline_workers") == 2, "it serves")
        await on[0].is_well()
    assert victim not in shared.workers()
    assert other in shared.workers()
    assert shared.counted("trunkline_worker_restarts_total") == restarts + 1
    assert shared.counted("grpc_server_call_started_total", grpc_method=PING) > before


async def test_workers_are_replaced_one_by_one(shared: Running, key: str):
    """B1: SIGHUP under 50 calls a second: each worker ends when its successor serves, and no caller sees an error."""
    old = shared.workers()
    async with callers(shared.target) as on:
        load = asyncio.create_task(loaded(on, key, 8.0))
        await until(lambda: shared.journal.count(f"{key}-50", "began"), "the load has begun")
        shared.send(signal.SIGHUP)
        assert await load == []
        await until(lambda: shared.said("workers replaced"), "all are replaced")
        await on[0].is_well()
    assert len(shared.workers()) == 2
    assert not set(old) & set(shared.workers())


async def test_sigterm_to_the_parent_drains_all(tmp_path, key: str):
    """SIGTERM to the parent: calls that run in its workers are answered, and nobody is left; exit status 0."""
    with Running(tmp_path, TRUNKLINE_WORKERS=2) as group:
        pids = group.workers()
        async with callers(group.target) as on:
            slow = [asyncio.ensure_future(one.ping(f"{key}-{number}", sleep_ms=1500)) for number, one in enumerate(on)]
            await until(lambda: group.journal.running() == CALLERS, "all have begun")
            await asyncio.to_thread(group.end)
            assert len(await asyncio.gather(*slow)) == CALLERS
        gone(pids)


async def test_the_parent_is_killed(tmp_path, key: str):
    """SIGKILL of the parent: its workers notice, answer what runs, and end; the port is free for the next group."""
    with Running(tmp_path, TRUNKLINE_WORKERS=2) as group:
        pids = group.workers()
        async with callers(group.target) as on:
            slow = [asyncio.ensure_future(one.ping(f"{key}-{number}", sleep_ms=1000)) for number, one in enumerate(on)]
            await until(lambda: group.journal.running() == CALLERS, "all have begun")
            group.send(signal.SIGKILL)
            assert len(await asyncio.gather(*slow)) == CALLERS
        await asyncio.to_thread(gone, pids)
        await asyncio.to_thread(group.ended)
        await asyncio.to_thread(group.start)
        async with calling(group.target) as caller:
            await caller.is_well()
