"""A process that may have no more memory: what it was doing is lost or refused, what it had done is not."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.launcher.launch import Launched, launched
from trunkline.launcher.ports import free_port
from trunkline.launcher.system import Program, SystemSpec

from tests.faults.calls import books
from tests.faults.calls.calling import Caller, calling, stranger
from tests.faults.calls.instance import ROOT
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-memory")
MORE = [16] if not os.environ.get("TRUNKLINE_FAULTS_FULL") else [2, 4, 8, 16, 32, 64] * 3
"""Megabytes that the process may have beside those that it has."""
ADDS, LARGE = 60, 40
"""Changes, and messages of nearly 4 MB that come beside them, at once, again and again."""
NAME = "faulty"


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Launched]:
    """A server with a database, under a supervisor."""
    port = free_port()
    variables = {"FAULTY_FOLDER": str(tmp_path), "FAULTY_PORT": str(port), "TRUNKLINE_PROFILE": "test"}
    program = Program(name=NAME, command=[sys.executable, "-m", "tests.faults.calls.faulty"], port=port)
    async with launched(
        SystemSpec(var_dir=tmp_path / "var", programs=[program], environment=variables, directory=ROOT)
    ) as running:
        yield running


def pid_of(running: Launched) -> int:
    """The server's process; 0 between two."""
    return next(one.pid for one in running.supervisor.states() if one.name == NAME)


def limit_memory(pid: int, more_mb: int) -> None:
    """Gives a process an address space of what it has, and so much more: `ulimit -v`."""
    status = Path(f"/proc/{pid}/status").read_text()
    now_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize:"))
    limit = now_kb * 1024 + more_mb * 1024 * 1024
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


async def surely_added(caller: Caller, key: str, troubles: list[str]) -> None:
    """Adds under a key, again and again, until there is an answer; notes each failure."""
    while True:
        try:
            await caller.add(key)
        except ServiceError as error:
            troubles.append(f"{error.code.name} {error.reason}")
            await asyncio.sleep(0.2)
        else:
            return


async def crowd(target: str, enough: asyncio.Event) -> None:
    """Sends more than there is room for, in messages that are refused once they are read."""
    request = pb.PingRequest(value="x" * (4 * 1024 * 1024 - 4096))
    while not enough.is_set():
        async with stranger(target) as unlimited:
            calls = [unlimited.pings.Ping(request, timeout=5.0) for _ in range(LARGE)]
            await asyncio.gather(*(call.code() for call in calls))


@pytest.mark.parametrize("more_mb", MORE)
async def test_no_memory_is_left(supervised: Launched, tmp_path: Path, key: str, more_mb: int):
    """H9: RLIMIT_AS a little above what a server has, and more work than that: it dies or refuses, is started anew, and
    every change that was repeated under its key until it was answered has its effect once.
    """
    target, before = supervised.system.services[NAME], pid_of(supervised)
    keys, troubles = [f"{key}-{number}" for number in range(ADDS)], list[str]()
    async with calling(target) as caller:
        await caller.add(f"{key}-first")
        limit_memory(before, more_mb)
        enough = asyncio.Event()
        crowding = asyncio.create_task(crowd(target, enough))
        adding = [asyncio.create_task(surely_added(caller, one, troubles)) for one in keys]
        await until(lambda: troubles or pid_of(supervised) != before, "there is no memory left")
        enough.set()
        await crowding
        async with asyncio.timeout(60.0):
            await asyncio.gather(*adding)
        await caller.is_well()
        print(more_mb, "MB:", "died" if pid_of(supervised) != before else "went on", sorted(set(troubles)))
    effects = {one: books.effects(tmp_path / "faulty.db", one) for one in (f"{key}-first", *keys)}
    assert {one: rows for one, rows in effects.items() if rows != [5]} == {}
