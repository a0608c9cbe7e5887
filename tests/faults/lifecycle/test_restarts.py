"""Servers that are restarted one by one, and connections that grow old: no caller sees an error."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.faults.calls.calling import Caller, calling
from tests.faults.calls.load import Outcome, open_loop
from tests.faults.lifecycle.running import Running
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-restarts")
LONG_S = 60.0 if os.environ.get("FAULTS_LONG") else 8.0
"""Seconds of the load on connections that grow old."""
AGE_S = 2.0


async def load(caller: Caller, key: str, outcomes: list[Outcome], *, per_s: float, seconds: float) -> None:
    """So many calls a second; outcomes are added as they come."""

    async def call(number: int) -> None:
        await caller.ping(f"{key}-{number}", timeout=5.0)

    await open_loop(call, per_s=per_s, seconds=seconds, tell=outcomes.append)


def failed(outcomes: list[Outcome]) -> list[Outcome]:
    """Those that failed."""
    return [one for one in outcomes if one.reason]


async def test_two_servers_are_restarted_one_by_one(tmp_path, key: str):
    """B1: SIGTERM to each of two servers, and a new start, under 50 calls a second: no caller sees an error, and both
    have served.
    """
    with Running(tmp_path / "one") as one, Running(tmp_path / "other") as other:
        async with calling(f"ipv4:{one.target},{other.target}") as caller:
            outcomes: list[Outcome] = []
            running = asyncio.create_task(load(caller, key, outcomes, per_s=50, seconds=90))

            async def goes_on() -> None:
                enough = len(outcomes) + 50
                await until(lambda: len(outcomes) >= enough, "another second of the load is answered")

            for server in (one, other):
                await goes_on()
                await asyncio.to_thread(server.end)
                await goes_on()
                await asyncio.to_thread(server.start)
            await goes_on()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert failed(outcomes) == []
            assert all(any(note.what == "began" for note in server.journal.all()) for server in (one, other))
            await caller.is_well()


async def test_connections_grow_old(tmp_path, key: str):
    """B8: no connection lives longer than 2 s, under 200 calls a second: none fails. FAULTS_LONG=1 takes a minute."""
    with Running(tmp_path, TRUNKLINE_MAX_CONNECTION_AGE_S=AGE_S) as running:
        async with calling(running.target) as caller:
            outcomes: list[Outcome] = []
            await load(caller, key, outcomes, per_s=200, seconds=LONG_S)
            assert len(outcomes) == 200 * LONG_S
            assert failed(outcomes) == []
            await caller.is_well()
        peers = {one.key for one in running.journal.all() if one.what == "peer"}
        assert len(peers) >= LONG_S / (AGE_S * 1.5)
