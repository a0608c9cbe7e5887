"""How a server ends while calls run: in time, without half an effect, and without a trace of it in the log."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable

import pytest
from trunkline.errors import ServiceError

from tests.faults.calls.books import effects
from tests.faults.calls.calling import SOON_S, awaited, calling
from tests.faults.lifecycle.running import Running
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-drain")
GRACE_S = 1.5


def keeping(tmp_path, port: int | None = None, **variables: str) -> Running:
    """A server with a database."""
    return Running(tmp_path, port=port, LIFE_KEEPS=1, TRUNKLINE_DRAIN_S=GRACE_S, **variables)


def patient(tmp_path, port: int | None = None) -> Running:
    """One whose drain takes longer; it may share its folder with another, and so has no port of metrics."""
    return Running(tmp_path, port=port, LIFE_KEEPS=1, TRUNKLINE_DRAIN_S=8, TRUNKLINE_METRICS_PORT="")


def rows(running: Running, name: str) -> list[int]:
    """Amounts of the rows of a name: its ledger."""
    return effects(running.folder / "var" / "life" / "life.db", name)


async def outcome(call: Awaitable[object]) -> str:
    """OK, or the code with which a call failed."""
    try:
        await call
    except ServiceError as error:
        return error.code.name
    return "OK"


async def test_a_handler_takes_longer_than_the_grace(tmp_path, key: str):
    """B2: it is cancelled at the grace and leaves no row, one that ends in time leaves its own, and the process ends
    with 0 within a second of the grace; a repeat of the call has its effect once, on the next process.
    """
    with keeping(tmp_path) as server:
        async with calling(server.target, retry_attempts=1) as caller:
            slow = asyncio.create_task(outcome(caller.add(f"{key}-slow", sleep_ms=30_000)))
            quick = asyncio.create_task(outcome(caller.add(f"{key}-quick", sleep_ms=700)))
            await until(lambda: server.journal.running() == 2, "both have begun")
            wait_s = float(server.environment["TRUNKLINE_DRAIN_WAIT_S"])
            assert await asyncio.to_thread(server.end) < wait_s + GRACE_S + 1.0 + SOON_S
            assert (await slow, await quick) == ("UNAVAILABLE", "OK")
            assert server.journal.count(f"{key}-slow", "cancelled") == 1
            assert (rows(server, f"{key}-slow"), rows(server, f"{key}-quick")) == ([], [5])
            await asyncio.to_thread(server.start)
            await caller.is_well()
            await caller.add(f"{key}-slow")
            assert rows(server, f"{key}-slow") == [5]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_during_the_drain(tmp_path, key: str, second: signal.Signals):
    """B3: SIGTERM again changes nothing, SIGINT ends the waiting; both end with 0 and without a traceback."""
    with keeping(tmp_path) as server:
        async with calling(server.target, retry_attempts=1) as caller:
            slow = asyncio.create_task(outcome(caller.add(key, sleep_ms=1000)))
            await until(lambda: server.journal.running() == 1, "it has begun")
            server.send(signal.SIGTERM)
            await asyncio.sleep(0.4)  # the drain has begun
            server.send(second)
            assert await asyncio.to_thread(server.ended) == 0
            expected = ("OK", [5]) if second is signal.SIGTERM else ("UNAVAILABLE", [])
            assert (await slow, rows(server, key)) == expected
            assert "Traceback" not in server.log
            await asyncio.to_thread(server.start)
            await caller.is_well()


async def test_a_second_interrupt_reaches_all_workers(tmp_path, key: str):
    """B3: SIGINT twice to the parent of workers: their calls are cancelled at once, and all end with 0."""
    with Running(tmp_path, TRUNKLINE_WORKERS=2, TRUNKLINE_DRAIN_S=30) as group:
        async with calling(group.target, retry_attempts=1) as caller:
            slow = asyncio.create_task(outcome(caller.ping(key, timeout=40.0, sleep_ms=30_000)))
            await until(lambda: group.journal.running() == 1, "it has begun")
            group.send(signal.SIGINT)
            await asyncio.sleep(0.5)  # the drain has begun
            began = time.monotonic()
            group.send(signal.SIGINT)
            assert await asyncio.to_thread(group.ended) == 0
            assert time.monotonic() - began < 10.0
            assert await slow == "UNAVAILABLE"


async def test_handlers_abort_during_the_drain(tmp_path, key: str):
    """B15: handlers that abort while the server ends: each caller gets its own code, none is lost, no traceback."""
    with keeping(tmp_path) as server:
        async with calling(server.target, retry_attempts=1) as caller:
            codes = [caller_code for caller_code in (3, 5, 9, 13) for _ in range(5)]
            slow = [
                asyncio.create_task(outcome(caller.ping(f"{key}-{number}", sleep_ms=700, fail_with=[code])))
                for number, code in enumerate(codes)
            ]
            await until(lambda: server.journal.running() == len(slow), "all have begun")
            await asyncio.to_thread(server.end)
            names = {3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 9: "FAILED_PRECONDITION", 13: "INTERNAL"}
            assert await asyncio.gather(*slow) == [names[code] for code in codes]


async def test_a_successor_serves_while_the_predecessor_drains(tmp_path, key: str):
    """Two processes on one database: while one drains, the call that runs in it goes on and the other one serves; each
    has its effect once.
    """
    with patient(tmp_path) as first:
        second = patient(tmp_path)
        await asyncio.to_thread(second.start)
        try:
            async with calling(first.target) as caller, calling(second.target) as other:
                running = asyncio.create_task(awaited(caller.add(f"{key}-first", sleep_ms=3000)))
                await until(lambda: first.journal.running() == 1, "it has begun")
                first.send(signal.SIGTERM)
                await other.add(f"{key}-second")
                assert not running.done()
                await running
                assert await asyncio.to_thread(first.ended) == 0
                await other.is_well()
                assert (rows(second, f"{key}-first"), rows(second, f"{key}-second")) == ([5], [5])
        finally:
            await asyncio.to_thread(second.end)
