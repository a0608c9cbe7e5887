"""What the faults of a proxy decide."""

from __future__ import annotations

import random

import pytest
from trunkline.testing.fault_modes import (
    Bandwidth,
    Blackhole,
    CutAfter,
    Freeze,
    Half,
    Latency,
    Mode,
    Pass,
    Refuse,
    Reset,
    Slicer,
)

PLAIN = (Pass(), Blackhole(), Half(), CutAfter(response_bytes=1), Reset(), Refuse(), Freeze())


def lowest(low: float, high: float) -> float:
    """Dice that always show the least."""
    return low


def highest(low: float, high: float) -> float:
    """Dice that always show the most."""
    return high


@pytest.mark.parametrize("mode", PLAIN)
def test_most_modes_leave_time_alone(mode: Mode):
    """Whatever is not about time neither delays nor slices."""
    assert mode.delay_s("request", highest) == 0
    assert mode.pace("response", 1000) == (1000, 0.0)


def test_latency_is_given_or_taken_its_jitter():
    """The dice move the latency by at most the jitter, either way, and never below nothing."""
    assert Latency(0.5).delay_s("request", highest) == 0.5
    assert Latency(0.5, jitter_s=0.1).delay_s("request", highest) == pytest.approx(0.6)
    assert Latency(0.5, jitter_s=0.1).delay_s("response", lowest) == pytest.approx(0.4)
    assert Latency(0.1, jitter_s=0.5).delay_s("response", lowest) == 0


def test_the_same_seed_throws_the_same_jitter():
    """Seeded dice make a run repeatable."""
    one, same, other = (random.Random(seed).uniform for seed in (7, 7, 8))
    delays = [[Latency(1.0, jitter_s=0.5).delay_s("request", dice) for _ in range(20)] for dice in (one, same, other)]
    assert delays[0] == delays[1] != delays[2]
    assert len(set(delays[0])) == 20


def test_a_narrow_line_takes_the_time_of_its_bytes():
    """A tenth of a second's bytes go at once, after the time they take; a rest takes less; at least one byte goes."""
    assert Bandwidth(1000).pace("request", 5000) == (100, 0.1)
    assert Bandwidth(1000).pace("request", 10) == (10, 0.01)
    assert Bandwidth(2).pace("request", 10) == (1, 0.5)


def test_a_slice_comes_after_its_pause():
    """No more than a slice goes at once."""
    assert Slicer(3, 0.2).pace("request", 10) == (3, 0.2)
    assert Slicer(3, 0.2).pace("request", 2) == (2, 0.2)


def test_one_direction_may_stay_as_it_is():
    """A fault of one direction leaves the other alone."""
    assert Latency(1.0, direction="request").delay_s("response", highest) == 0
    assert Bandwidth(1, direction="request").pace("response", 9) == (9, 0.0)
    assert Slicer(1, direction="response").pace("request", 9) == (9, 0.0)
    assert Slicer(1, direction="response").pace("response", 9) == (1, 0.001)
    assert CutAfter(request_bytes=5).limit_bytes("response") is None
    assert CutAfter(request_bytes=5).limit_bytes("request") == 5


@pytest.mark.parametrize(
    ("mode", "numbers"),
    [
        (Latency, {"latency_s": -0.1}),
        (Latency, {"latency_s": 0.1, "jitter_s": -0.1}),
        (Bandwidth, {"bytes_per_s": 0}),
        (Slicer, {"slice_bytes": 0}),
        (Slicer, {"slice_bytes": 1, "pause_s": -1}),
        (CutAfter, {}),
        (CutAfter, {"response_bytes": -1}),
        (CutAfter, {"response_bytes": 1, "request_bytes": -1}),
    ],
)
def test_senseless_numbers_are_refused(mode, numbers):
    """A mode that could not work is not made."""
    with pytest.raises(ValueError, match=r"at least|negative|given"):
        mode(**numbers)
