"""Frames by the ten thousand: calls that are taken back, calls without time, and frames that are about no call."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import pytest

from tests.faults.calls.raw_call import HEADERS, PING, SETTINGS, frame, literal
from tests.faults.hostile.conftest import FULL, under_fault
from tests.faults.hostile.flood import block, called, flood, streams, taken_back
from tests.faults.hostile.peer import headers_of, message
from tests.faults.hostile.victim import Victim

RESETS, CONNECTIONS = 50_000, 5
CONTINUATION, PRIORITY, WINDOW_UPDATE, UNKNOWN = 0x9, 0x2, 0x8, 0x77
CLOSED_CPU_S = 2.0
"""Seconds of a core that a flood may take which the server ends."""


async def test_rapid_reset(victim: Victim):
    """C11: 50,000 calls on one connection, each taken back at once: few reach the chain, fewer a handler."""
    calls = taken_back(block(headers_of()), streams(0, RESETS))
    async with under_fault(victim) as fault:
        wave = await flood(victim.port, calls)
        assert wave.marked or wave.closed
    assert fault.handled < RESETS / 10
    assert fault.after is not None
    assert fault.after.begun - fault.before.begun < RESETS / 5


async def test_rapid_reset_in_portions(victim: Victim):
    """C11: the same on five connections, in portions that each connection may carry."""
    calls = 50_000 if FULL else 5_000
    portions = [taken_back(block(headers_of()), streams(first, 100)) for first in range(0, calls, 100)]
    async with under_fault(victim, kept_mb=80) as fault:
        waves = await asyncio.gather(*(flood(victim.port, *portions, pause_s=0.01) for _ in range(CONNECTIONS)))
        assert all(wave.marked or wave.closed for wave in waves)
    assert fault.after is not None


async def test_calls_without_time(victim: Victim):
    """Calls by the thousand with 1 to 5 ms to live: an honest caller's calls all succeed inside their deadline."""
    blocks = [block(headers_of(grpc_timeout=f"{ms}m")) for ms in range(1, 6)]
    portions = [
        called(blocks[first // 100 % 5], streams(first, 100), message(b""))
        for first in range(0, 50_000 if FULL else 10_000, 100)
    ]
    async with under_fault(victim, kept_mb=80) as fault:
        waves = await asyncio.gather(*(flood(victim.port, *portions, pause_s=0.01) for _ in range(2)))
        assert all(wave.marked or wave.closed for wave in waves)
    assert fault.handled == 0


def settings() -> bytes:
    """200,000 SETTINGS."""
    return frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) * 200_000


def pings() -> bytes:
    """20,000 PINGs."""
    return frame(PING, 0, 0, b"whatever") * 20_000


def continuations() -> bytes:
    """Headers that never end: a hundred megabytes of them."""
    return frame(HEADERS, 0, 1, block(headers_of())) + frame(CONTINUATION, 0, 1, literal("a", "b" * 100) * 100) * 10_000


def empty_continuations() -> bytes:
    """Headers that never end, and never begin either."""
    return frame(HEADERS, 0, 1, block(headers_of())) + frame(CONTINUATION, 0, 1, b"") * 100_000


def window_updates() -> bytes:
    """200,000 WINDOW_UPDATEs of one byte."""
    return frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 200_000


def priorities() -> bytes:
    """200,000 PRIORITYs."""
    return frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 1)) * 200_000


def unknown() -> bytes:
    """200,000 frames of a kind that nobody knows."""
    return frame(UNKNOWN, 0, 0, b"whatever") * 200_000


def empty_data() -> bytes:
    """200,000 DATA with nothing in them, on a call that goes on."""
    return frame(HEADERS, 0x4, 1, block(headers_of(grpc_timeout="1H"))) + frame(0, 0, 1, b"") * 200_000


@pytest.mark.parametrize("frames", [pings, continuations, empty_continuations, empty_data])
async def test_floods_that_end_the_connection(victim: Victim, frames: Callable[[], bytes]):
    """C15: pings, headers without an end and empty data: the connection is closed, and little is spent on it."""
    # Headers of 100 MB are read into buffers that the allocator keeps: once, not once more for each flood.
    async with under_fault(victim, kept_mb=100) as fault:
        wave = await flood(victim.port, frames(), stay_s=5.0)
        assert wave.closed
        assert victim.peak_mb() < fault.before.rss_mb + 160  # of the 100 MB none is kept twice
    assert fault.handled == 0
    assert fault.cpu_s < CLOSED_CPU_S


@pytest.mark.parametrize("frames", [settings, window_updates, priorities, unknown])
async def test_floods_that_cost_nothing(victim: Victim, frames: Callable[[], bytes]):
    """C15: frames that are read and answered, if at all, by a frame: 200,000 take a fraction of a second."""
    async with under_fault(victim) as fault:
        wave = await flood(victim.port, frames())
        assert wave.marked or wave.closed
    assert fault.handled == 0
    assert fault.cpu_s < CLOSED_CPU_S
