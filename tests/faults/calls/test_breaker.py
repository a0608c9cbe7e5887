"""The breaker against real servers: one probe for a thousand callers, no wall clock, and old answers that say so."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import headers
from trunkline.client import read
from trunkline.clock import SystemClock
from trunkline.errors import ServiceError
from trunkline.method import Method, methods_of
from trunkline.policies.breaker import Breaker, BreakerState
from trunkline.testing.clock import FakeClock

from tests.faults.calls.calling import SOON_S, Caller, calling, failure, repeated
from tests.faults.calls.instance import ROOT, Instance
from tests.faults.calls.servicers import KEY
from tests.shop.running import clean_environment
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-calls")
INTERNAL = grpc.StatusCode.INTERNAL
PING = "/trunk.testing.v1.PingService/Ping"
CONTRACTS = sorted((ROOT / "protos").glob("*/*/v1/*_service.proto"))
FAKETIME = [
    path
    for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")
    for path in Path(folder).glob("**/faketime/libfaketime.so.1")
]
"""Where Debian and others put libfaketime."""


def breaker(caller: Caller) -> Breaker:
    """The breaker of Ping."""
    return caller.channel.peer.breakers[PING]


async def open_it(caller: Caller, key: str) -> None:
    """Five failures in a row."""
    for number in range(5):
        await failure(caller.ping(f"{key}-open-{number}", fail_with=repeated(INTERNAL)))
    assert breaker(caller).state is BreakerState.OPEN


def probe_in_s(caller: Caller) -> float:
    """Seconds until a probe passes."""
    return breaker(caller).snapshot(caller.channel.peer.clock.monotonic()).probe_in_s


async def test_a_thousand_callers_and_one_probe(server: Instance, key: str):
    """A14: half-open, one of a thousand calls reaches the server, the others fail while it is still being answered."""
    async with calling(server.target, breaker_open_s=0.4) as caller:
        await open_it(caller, key)
        await until(lambda: not probe_in_s(caller), "a probe may pass")
        tasks = [asyncio.create_task(_outcome(caller.ping(key, sleep_ms=2500))) for _ in range(1000)]
        await until(lambda: sum(task.done() for task in tasks) >= 999, "all but one are refused")
        (probe,) = [task for task in tasks if not task.done()]
        assert {task.result() for task in tasks if task is not probe} == {"BREAKER_OPEN"}
        assert breaker(caller).state is BreakerState.HALF_OPEN
        assert await probe == ""
        assert breaker(caller).state is BreakerState.CLOSED
        assert server.journal.count(key, "arrived") == 1
        await caller.is_well()


async def test_a_probe_that_dies(victim: Instance, key: str):
    """A14: the server is killed under the probe: the breaker opens for longer, and closes when the server is back."""
    async with calling(victim.target, breaker_open_s=0.4) as caller:
        await open_it(caller, key)
        await until(lambda: not probe_in_s(caller), "a probe may pass")
        probe = asyncio.create_task(_outcome(caller.ping(key, sleep_ms=20_000)))
        await until(partial(victim.journal.count, key, "began"), "the probe is being answered")
        victim.kill()
        # It is repeated, and by then the breaker is open again.
        assert await probe == "BREAKER_OPEN"
        assert breaker(caller).state is BreakerState.OPEN
        assert 0.4 < probe_in_s(caller) <= 0.8
        await asyncio.to_thread(victim.start)
        await caller.is_well()
        assert victim.journal.count(key, "arrived") == 1


class Jumping(SystemClock):
    """The machine's clocks; the wall clock is put forward or back."""

    jumped = timedelta()

    def now(self) -> datetime:
        """The instant that the wall clock shows."""
        return super().now() + self.jumped


@pytest.mark.parametrize("hours", [1, -1])
async def test_the_wall_clock_is_set(server: Instance, key: str, hours: int):
    """A19: an hour forward or back while the breaker is open changes nothing: it opens by the monotonic clock."""
    clock = Jumping()
    async with calling(server.target, breaker_open_s=0.6, clock=clock) as caller:
        await open_it(caller, key)
        left_s = probe_in_s(caller)
        clock.jumped = timedelta(hours=hours)
        assert left_s - SOON_S < probe_in_s(caller) <= left_s <= 0.6
        assert (await failure(caller.ping(key))).error.reason == "BREAKER_OPEN"
        await until(lambda: not probe_in_s(caller), "a probe may pass", 0.6 + SOON_S)
        await caller.is_well()
    assert server.journal.count(key, "arrived") == 0


@pytest.mark.parametrize("hours", [1, -1])
async def test_the_machines_clock_is_set(server: Instance, tmp_path: Path, key: str, hours: int):
    """A19: the same with a process whose wall clock libfaketime moves; skipped where it is not installed."""
    if not FAKETIME:
        pytest.skip("libfaketime is not installed: apt-get install libfaketime")
    stamp = tmp_path / "faketime"
    stamp.write_text("+0")
    environment = clean_environment(
        LD_PRELOAD=FAKETIME[0], FAKETIME_DONT_FAKE_MONOTONIC=1, FAKETIME_NO_CACHE=1, FAKETIME_TIMESTAMP_FILE=stamp
    )
    command = [sys.executable, "-m", "tests.faults.calls.clocked", server.target, key, str(stamp), str(hours)]
    ran = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    jumped_s, open_s, refused, state = ran.stdout.split()
    assert abs(float(jumped_s) - hours * 3600) < 30
    assert 0.8 * 0.6 - 0.05 < float(open_s) < 0.6 + SOON_S
    assert (refused, state) == ("BREAKER_OPEN", "CLOSED")


async def test_an_old_answer_says_that_it_is_old(victim: Instance, key: str):
    """A28: with the server killed and the breaker open, a read that may is answered from memory, marked stale with its
    age; a change and a read that may not are refused; when the server is back, answers are of now.
    """
    clock = FakeClock()
    request = pb.CachedRequest(value=key, behaviour=pb.Behaviour(attempt_key=key))
    async with calling(victim.target, clock=clock) as caller:
        asked: dict[str, Any] = {"metadata": ((KEY, key),)}
        fresh = await read(caller.policies.Cached, request, **asked)
        assert not fresh.stale
        clock.advance(6.0)
        victim.kill()
        ages = [(await read(caller.policies.Cached, request, **asked)).stale_age_s for _ in range(6)]
        assert ages == [6.0] * 6
        assert caller.channel.peer.breakers["/trunk.testing.v1.PolicyService/Cached"].state is BreakerState.OPEN
        clock.advance(1.0)
        stale = caller.policies.Cached(request, **asked)
        assert (await stale).serial == fresh.message.serial
        assert dict(await stale.trailing_metadata())[headers.STALE_AGE_MS] == "7000"
        assert (await failure(caller.add(key))).error.code is grpc.StatusCode.UNAVAILABLE
        assert (await failure(caller.ping(key))).error.code is grpc.StatusCode.UNAVAILABLE
        clock.advance(60.0)
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await read(caller.policies.Cached, request, **asked)
        await asyncio.to_thread(victim.start)
        clock.advance(60.0)

        async def fresh_again() -> bool:
            try:
                return not (await read(caller.policies.Cached, request, **asked)).stale
            except ServiceError:
                clock.advance(60.0)
                return False

        await until(fresh_again, "answers are of now")
        await caller.is_well()
    assert victim.effects(key) == []


def test_nothing_that_changes_is_ever_old():
    """A28: in every contract of the platform and of the shop, only reads are kept; those of payment and stock never."""
    found = [method for path in CONTRACTS for method in _methods(path)]
    kept = [method for method in found if method.cache_ttl_s or method.stale_if_error_s]
    assert kept
    assert all(method.reads for method in kept)
    assert [method.path for method in kept if method.package in ("pos.payment", "pos.stock")] == []


def _methods(path: Path) -> list[Method]:
    """Methods of all services of a proto file."""
    module = importlib.import_module(".".join(path.relative_to(ROOT / "protos").with_suffix("").parts) + "_pb2")
    return [method for name in module.DESCRIPTOR.services_by_name.values() for method in methods_of(name.full_name)]


async def _outcome(call) -> str:
    try:
        await call
    except ServiceError as error:
        return error.reason
    return ""
