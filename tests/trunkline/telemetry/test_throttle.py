"""Which lines of a flood are written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from trunkline.telemetry import throttle as module
from trunkline.telemetry.throttle import Throttle, ThrottledLines
from trunkline.testing.clock import FakeClock


def written(throttle: Throttle, instants: list[float], key: str = "k") -> list[float]:
    """The instants at which a line is written."""
    return [now for now in instants if not throttle.admit(key, now)]


@pytest.mark.parametrize(
    ("instants", "lines"),
    [
        ([0.0], [0.0]),
        ([0.0, 0.5, 0.99], [0.0]),
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.0, 1.5, 2.0, 2.5], [0.0, 1.5]),
    ],
)
def test_one_line_a_second_is_written(instants, lines):
    """The first at once, the next one after a second, unless others are left out that must be told of first."""
    assert written(Throttle(), instants) == lines


def test_keys_are_told_apart():
    """A flood of one kind leaves the lines of others alone."""
    throttle = Throttle()
    assert [throttle.admit(key, 0.0) for key in "aaba"] == [0, 1, 0, 2]


def test_what_was_left_out_is_told_and_counts_as_the_line_of_the_next_second():
    """No line is lost without being counted, and the line that counts opens a second of its own."""
    throttle = Throttle()
    for number in range(5):
        assert throttle.admit("k", 0.1 * number) == number
    assert throttle.admit("k", 1.2) == 5, "not written before the others are told of"
    assert throttle.settle("k", 1.3) == 5
    assert throttle.settle("k", 1.3) == 0
    assert throttle.admit("k", 1.4) == 1
    assert throttle.settle("k", 2.3) == 1
    assert throttle.admit("k", 3.4) == 0


def test_a_flood_of_different_lines_is_a_flood_too():
    """Over the capacity what is new counts as one, until the others are forgotten."""
    throttle = Throttle(capacity=2)
    assert [throttle.admit(key, 0.0) for key in ("a", "b", "c", "d", "e")] == [0, 0, 0, 1, 2]
    assert throttle.settle(throttle.known("d"), 1.0) == 2
    assert throttle.admit("f", 1.5) == 0


def test_memory_is_bounded_and_given_back():
    """A million keys leave no more than the capacity, and an idle throttle forgets them with the next line."""
    throttle = Throttle(capacity=10)
    for number in range(100):
        throttle.admit(number, 0.0)
    assert len(throttle._windows) <= 11
    throttle.settle(throttle.known(99), 1.0)
    throttle.admit("new", 5.0)
    assert len(throttle._windows) == 1


async def test_a_flood_leaves_its_first_line_and_a_count(monkeypatch):
    """A thousand lines in a moment: one is written, and one that tells of 999, with what all have in common."""
    monkeypatch.setattr(module, "INTERVAL_S", 0.02)
    lines: list[dict[str, Any]] = []
    clock = FakeClock()
    throttled = ThrottledLines(lambda **fields: lines.append(fields), clock.monotonic)
    for number in range(1000):
        throttled.tell({"reason": "TOKEN_INVALID"}, ms=number)
    async with asyncio.timeout(5):
        while len(lines) < 2:  # noqa: ASYNC110 - what is waited for is a timer
            await asyncio.sleep(0.005)
    assert lines == [{"reason": "TOKEN_INVALID", "ms": 0}, {"reason": "TOKEN_INVALID", "left_out": 999}]
    await asyncio.sleep(0.05)
    assert len(lines) == 2, "nothing more to tell"
