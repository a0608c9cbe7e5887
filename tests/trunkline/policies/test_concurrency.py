"""How many calls a server runs at once, on servers that are simulated in steps of a fake time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trunkline.policies.concurrency import AdaptiveLimit, LimitSettings, MethodLatency

FLOOR, CEILING = 16, 256
STEP_S = 0.005
Takes = Callable[[int, float], float]
"""What a call takes, by how many run and when it begins."""


@dataclass
class Simulated:
    """A server with a limit: calls that come are admitted or refused, and end when their time is over."""

    takes: dict[str, Takes]
    limit: AdaptiveLimit = field(default_factory=lambda: AdaptiveLimit(LimitSettings(floor=FLOOR, ceiling=CEILING), 0))
    now: float = 0.0
    served: int = 0
    refused: int = 0
    least: int = CEILING
    latencies: dict[str, MethodLatency] = field(default_factory=dict)
    _ends: list[tuple[float, int, str, float]] = field(default_factory=list)
    _number: int = 0
    _owed: dict[str, float] = field(default_factory=dict)

    def run(self, seconds: float, **per_s: float) -> Simulated:
        """So many calls a second of each method, for a time; counts begin anew."""
        self.served = self.refused = 0
        self.least = self.limit.limit
        until = self.now + seconds
        while self.now < until:
            self.now += STEP_S
            while self._ends and self._ends[0][0] <= self.now:
                at, _, method, took = heapq.heappop(self._ends)
                self.limit.served(self.latencies.setdefault(method, MethodLatency()), took, at)
                self.served += 1
            for method, rate in per_s.items():
                self._owed[method] = self._owed.get(method, 0.0) + rate * STEP_S
                while self._owed[method] >= 1:
                    self._owed[method] -= 1
                    self._come(method)
            self.least = min(self.least, self.limit.limit)
        return self

    def _come(self, method: str) -> None:
        if self.limit.full():
            self.refused += 1
            return
        self.limit.began()
        took = self.takes[method](self.limit.running, self.now)
        self._number += 1
        heapq.heappush(self._ends, (self.now + took, self._number, method, took))


def waits(seconds: float) -> Takes:
    """It waits for somebody else: as long, whatever runs beside it."""
    return lambda _, __: seconds


def computes(seconds: float) -> Takes:
    """It needs the one processor: as long as all that run need together."""
    return lambda running, _: seconds * running


def test_a_server_that_only_waits_keeps_its_ceiling():
    """Fast calls, a hundred of them at once: nothing is refused."""
    server = Simulated({"get": waits(0.02)}).run(20, get=5_000)
    assert (server.refused, server.limit.limit) == (0, CEILING)


def test_more_than_the_ceiling_is_refused_however_fast_it_is():
    """Twice as much as 256 calls at once can do: about half is served."""
    server = Simulated({"get": waits(0.1)})
    server.run(30, get=5_000)
    server.run(10, get=5_000)
    assert server.limit.limit >= 0.9 * CEILING
    assert 0.45 < server.served / (server.served + server.refused) < 0.55


def test_a_server_that_computes_keeps_few():
    """Three times what it can do: the limit falls to where a call takes no more than it must, and the work is done."""
    server = Simulated({"get": computes(0.002)})
    server.run(5, get=200)
    server.run(20, get=1_500)
    assert server.limit.limit <= 4 * FLOOR
    server.run(10, get=1_500)
    assert server.served >= 0.95 * 10 * 500


def test_a_server_that_is_overloaded_from_its_start_keeps_few_too():
    """It has never seen what a call takes without load: the floor shows it."""
    server = Simulated({"get": computes(0.002)}).run(20, get=1_500)
    assert server.limit.limit <= 4 * FLOOR


def test_after_the_load_has_gone_nothing_is_refused():
    """And when calls come again that only wait, the limit rises with what is asked for."""
    takes = {"get": computes(0.002), "wait": waits(0.05)}
    server = Simulated(takes).run(20, get=1_500)
    assert server.run(5, get=300).refused == 0
    server.run(20, wait=2_000)
    assert server.run(5, wait=2_000).refused == 0


def test_fast_and_slow_methods_side_by_side_do_not_matter():
    """One takes a thousand times what the other does, in shares that change: each is compared with itself."""
    server = Simulated({"fast": waits(0.002), "slow": waits(2.0)}).run(20, fast=1_000, slow=60)
    for fast, slow in ((100, 75), (4_000, 70), (10, 60), (1_000, 72)):
        server.run(5, fast=fast, slow=slow)
        assert (server.refused, server.least) == (0, CEILING)


@pytest.mark.parametrize("slow_share", [0.01, 0.1, 0.5, 0.9])
def test_a_method_of_two_speeds_does_not_sink_the_limit(slow_share):
    """Some of its calls hit a cache, the others take fifty times as long; there is room, and it stays used."""
    dice = random.Random(7)

    def takes(running: int, now: float) -> float:
        return 1.0 if dice.random() < slow_share else 0.02

    mean_s = 1.0 * slow_share + 0.02 * (1 - slow_share)
    server = Simulated({"get": takes}).run(10, get=60 / mean_s)
    server.run(20, get=180 / mean_s)
    assert server.least >= 0.8 * CEILING
    assert server.refused <= 0.01 * server.served


def test_a_step_in_latency_is_got_over():
    """What it waits for becomes four times as slow for good: the limit dips, learns, and comes back."""
    server = Simulated({"get": lambda _, now: 0.05 if now < 20 else 0.2})
    server.run(20, get=900)
    assert server.refused == 0
    server.run(30, get=900)
    assert server.run(10, get=900).refused == 0


def test_a_step_while_there_is_room_changes_nothing():
    """With less than half of the limit in use even ten times as slow is no reason to refuse."""
    server = Simulated({"get": lambda _, now: 0.005 if now < 10 else 0.05}).run(60, get=1_000)
    assert (server.refused, server.least) == (0, CEILING)


def test_calls_whose_time_is_over_lower_the_limit():
    """A tenth of them suffices, though the others are fast; without load it does not."""
    limit, latency = AdaptiveLimit(LimitSettings(floor=FLOOR, ceiling=CEILING), 0.0), MethodLatency()

    def window(at: float, running: int) -> None:
        for _ in range(running):
            limit.began()
        for number in range(running):
            if number % 10:
                limit.served(latency, 0.01, at)
            else:
                limit.dropped(at + 0.2)

    window(1.0, 40)
    assert limit.limit == CEILING
    for number in range(10):
        window(2.0 + number, 200)
    assert limit.limit < CEILING // 2


def test_a_limit_far_above_what_runs_falls_too():
    """Where a connection carries fewer calls than half of the limit, and most of them are not done in time, the limit
    falls to what runs and further, within a second: the rest would be work for nobody.
    """
    limit, latency = AdaptiveLimit(LimitSettings(floor=FLOOR, ceiling=CEILING), 0.0), MethodLatency()
    now = 0.0
    while limit.limit > FLOOR and now < 5.0:
        now += 0.2
        running = min(CEILING // 3, limit.limit)
        for _ in range(running):
            limit.began()
        for number in range(running):
            if number % 3:
                limit.dropped(now)
            else:
                limit.served(latency, 0.9, now)
    assert (limit.limit, now < 3.0) == (FLOOR, True)


def test_a_caller_that_leaves_says_nothing():
    """Hedges are cancelled all the time: the limit stays where it is."""
    limit = AdaptiveLimit(LimitSettings(floor=FLOOR, ceiling=CEILING), 0.0)
    for _ in range(10):
        for _ in range(200):
            limit.began()
        for _ in range(200):
            limit.left()
    assert (limit.limit, limit.running) == (CEILING, 0)


def test_a_ceiling_below_the_floor_goes_before():
    """Whoever allows two calls gets two."""
    limit = AdaptiveLimit(LimitSettings(floor=16, ceiling=2), 0.0)
    assert (limit.limit, limit.floor) == (2, 2)
    limit.began()
    assert not limit.full()
    limit.began()
    assert limit.full()


@settings(deadline=None, max_examples=40)  # four thousand calls each, on machines of any speed
@given(
    floor=st.integers(1, 64),
    ceiling=st.integers(1, 512),
    events=st.lists(
        st.tuples(
            st.sampled_from(["served", "dropped", "left"]),
            st.floats(0, 100),
            st.floats(0, 1),
            st.integers(1, 300),
        ),
        max_size=60,
    ),
)
def test_the_limit_stays_inside_its_bounds_and_comes_back(floor, ceiling, events):
    """Whatever happens, it is between floor and ceiling; and when all goes well again it rises to what is needed."""
    limit = AdaptiveLimit(LimitSettings(floor=floor, ceiling=ceiling), 0.0)
    latency, now = MethodLatency(), 0.0
    for what, took, passed, many in events:
        running = min(many, limit.limit)
        for _ in range(running):
            limit.began()
        now += passed
        for _ in range(running):
            if what == "served":
                limit.served(latency, took, now)
            elif what == "dropped":
                limit.dropped(now)
            else:
                limit.left()
        assert min(floor, ceiling) <= limit.limit <= ceiling
        assert limit.running == 0
    for _ in range(1_000):
        running = limit.limit
        for _ in range(running):
            limit.began()
        now += 0.2
        for _ in range(running):
            limit.served(latency, 0.01, now)
        if limit.limit == ceiling:
            break
    assert limit.limit >= ceiling - 1
