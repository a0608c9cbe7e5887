"""A machine that is too busy: what is slow is not taken for dead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from trunkline.policies.breaker import BreakerState

from tests.faults.calls.calling import calling
from tests.faults.calls.load import Outcome, open_loop
from tests.faults.lifecycle.running import Running

pytestmark = pytest.mark.xdist_group("fault-starved")
BURNERS, SECONDS, PER_S = 4, 6.0, 20.0


@contextmanager
def burning(seconds: float) -> Iterator[None]:
    """Busy loops that end by themselves, should nobody end them."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(BURNERS)]
    try:
        yield
    finally:
        for one in burners:
            one.kill()
            one.wait()


async def test_no_breaker_opens_for_want_of_time(tmp_path, key: str):
    """H6: four busy loops on the same cores under 20 calls a second: no breaker opens, no connection is taken for dead,
    and every call is answered inside its deadline.
    """
    with Running(tmp_path) as server:
        async with calling(server.target) as caller:
            await caller.ping(f"{key}-before")
            (breaker,) = caller.channel.peer.breakers.values()
            outcomes: list[tuple[Outcome, BreakerState]] = []

            async def call(number: int) -> None:
                await caller.ping(f"{key}-{number}", timeout=10.0)

            with burning(SECONDS + 5.0):
                load = open_loop(
                    call, per_s=PER_S, seconds=SECONDS, tell=lambda one: outcomes.append((one, breaker.state))
                )
                await load
            assert len(outcomes) == PER_S * SECONDS
            assert [one for one, _ in outcomes if one.reason] == []
            assert {state for _, state in outcomes} == {BreakerState.CLOSED}
            peers = {one.key for one in server.journal.all() if one.what == "peer"}
            assert len(peers) == 1
            await caller.is_well()
