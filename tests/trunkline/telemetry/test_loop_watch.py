"""A loop that stands still is seen, and told of once, while it does."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from trunkline.telemetry import loop_watch
from trunkline.telemetry.loop_watch import BEAT_S, MOST_FRAMES, STUCK_S, TELL_EVERY_S, WINDOW_S, LoopWatch, stack_of
from trunkline.telemetry.metrics import Metrics
from trunkline.testing.clock import FakeClock

NAME = "trunkline_event_loop_lag_seconds"


@pytest.fixture
def clock() -> FakeClock:
    """Time of the watch."""
    return FakeClock()


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is logged."""
    capture = LogCapture()
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    monkeypatch.setattr(loop_watch, "_log", structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper))
    return capture.entries


@pytest.fixture
def watch(clock: FakeClock) -> LoopWatch:
    """A watch that nobody runs: the test is the loop."""
    found = LoopWatch(Metrics(clock), clock.monotonic)
    found._thread = threading.get_ident()
    return found


def test_a_loop_in_time_has_no_lag(clock: FakeClock, watch: LoopWatch):
    """Signs of life that come when they are due are not late."""
    for _ in range(5):
        clock.advance(BEAT_S)
        watch.beat()
        assert watch.lag_s() == pytest.approx(0.0)


def test_a_lag_is_told_while_it_lasts_and_for_a_while(clock: FakeClock, watch: LoopWatch):
    """It grows until the loop comes round, is told for at least a window, and is forgotten after two."""
    clock.advance(BEAT_S + 3.0)
    assert watch.lag_s() == pytest.approx(3.0)
    watch.beat()
    seen = []
    for _ in range(int(2 * WINDOW_S / BEAT_S) + 4):
        clock.advance(BEAT_S)
        watch.beat()
        seen.append(watch.lag_s())
    assert all(one == pytest.approx(3.0) for one in seen[: int(WINDOW_S / BEAT_S)])
    assert seen[-1] == pytest.approx(0.0)


def test_it_is_told_of_once(clock: FakeClock, watch: LoopWatch, logs: list[Any]):
    """One line for one standstill, however often it is looked at, and none for a short wait."""
    clock.advance(BEAT_S + STUCK_S / 2)
    watch.look()
    assert logs == []
    for _ in range(60):
        clock.advance(STUCK_S)
        watch.look()
    assert [line["event"] for line in logs] == ["the event loop stands still"]
    watch.beat()
    clock.advance(BEAT_S + STUCK_S)
    watch.look()
    assert len(logs) == 2


def test_many_standstills_make_few_lines(clock: FakeClock, watch: LoopWatch, logs: list[Any]):
    """Of standstills in a row one is told every ten seconds."""
    for _ in range(int(3 * TELL_EVERY_S / (BEAT_S + STUCK_S))):
        clock.advance(BEAT_S + STUCK_S)
        watch.look()
        watch.beat()
    assert len(logs) == 3


def deep(depth: int, secret: str) -> list[str]:
    """The stack from so deep down, where something secret is worked on."""
    return deep(depth - 1, secret) if depth else stack_of(sys._getframe())


def test_a_stack_names_places_only():
    """The innermost frames, outermost first, with nothing of what they work on."""
    found = deep(2 * MOST_FRAMES, "hunter2")
    assert len(found) == MOST_FRAMES
    assert all(one.split(":")[0] == __file__ and one.endswith(" deep") for one in found)
    assert "hunter2" not in str(found)
    assert stack_of(None) == []


async def test_a_real_loop(monkeypatch: pytest.MonkeyPatch, logs: list[Any]):
    """A function that sleeps instead of awaiting is named while it sleeps, and its lag is in the metrics."""
    monkeypatch.setattr(loop_watch, "STUCK_S", 0.1)
    monkeypatch.setattr(loop_watch, "BEAT_S", 0.02)
    metrics, stop = Metrics(), asyncio.Event()
    assert NAME not in metrics.expose().decode()
    running = asyncio.create_task(LoopWatch(metrics).run(stop))
    await asyncio.sleep(0.05)
    time.sleep(0.4)  # noqa: ASYNC251 - the fault
    await asyncio.sleep(0.05)
    assert metrics.value(NAME) > 0.2
    assert [line["event"] for line in logs] == ["the event loop stands still"]
    assert any(one.endswith("test_a_real_loop") for one in logs[0]["stack"])
    stop.set()
    await running
    assert NAME not in metrics.expose().decode()
