"""A system must come back when the trigger is gone: goodput under load, before, while and after a server is slow."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time
from collections import Counter

from tests.faults.calls.calling import calling
from tests.faults.calls.instance import Instance
from tests.faults.calls.load import Outcome, open_loop
from tests.shop.waiting import until

PER_S = 60.0
"""Calls offered, whatever becomes of them."""
SLOTS, SERVICE_MS, TIMEOUT_S = 6, 50, 0.8
"""Calls that the server works on at once and milliseconds that each takes: 120 a second, and 12 when it is ill."""
BASELINE_S, ILL_S, BACK_S = 3, 10.0, 15
ENOUGH = 0.95


async def test_ten_seconds_of_a_tenfold_slower_server(tmp_path, key: str):
    """Recovery: a server is ten times slower for ten seconds, under steady load that is five times what it can do then;
    15 s after it is well again, and by itself, goodput is back to at least 95 %. All policies are as shipped.
    """
    with Instance(tmp_path / "slow", slots=SLOTS) as slow:
        async with calling(slow.target) as caller:
            good: Counter[int] = Counter()
            began = time.monotonic()

            def tell(outcome: Outcome) -> None:
                good[int(time.monotonic() - began)] += not outcome.reason

            async def call(number: int) -> None:
                await caller.ping(f"{key}-{number}", timeout=TIMEOUT_S, sleep_ms=SERVICE_MS)

            longest_s = BASELINE_S + ILL_S + BACK_S + 5
            load = asyncio.create_task(open_loop(call, per_s=PER_S, seconds=longest_s, tell=tell))

            def mean(first: float, last: float) -> float:
                return statistics.fmean(good[second] for second in range(int(first), int(last)))

            async def passes(seconds: float) -> None:
                await until(lambda: time.monotonic() - began > seconds, f"{seconds} s", longest_s)

            await passes(BASELINE_S)
            before = mean(1, BASELINE_S)
            assert before > ENOUGH * PER_S
            slow.send(signal.SIGUSR1)
            await passes(BASELINE_S + ILL_S)
            slow.send(signal.SIGUSR2)
            well = time.monotonic() - began
            assert mean(BASELINE_S + 2, BASELINE_S + ILL_S) < before / 2

            def back() -> bool:
                second = int(time.monotonic() - began)
                return second - 3 > well and mean(second - 3, second) >= ENOUGH * before

            await until(back, f"goodput of {before:.0f} a second is back: {sorted(good.items())}", BACK_S + 3)
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
            await caller.is_well()
