"""When bytes pass through a proxy that delays, narrows or slices."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from trunkline.testing.clock import FakeClock
from trunkline.testing.fault_connection import until_set
from trunkline.testing.fault_modes import Bandwidth, Blackhole, Freeze, Latency, Mode, Pass, Reset, Slicer
from trunkline.testing.fault_proxy import FaultProxy

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.testing.echo import Client, Echo, dialled


class Time:
    """A clock that a proxy's pauses move on, once they are let go; each is noted. Dice that are counted."""

    def __init__(self, seed: int = 7) -> None:
        self.clock = FakeClock()
        self.paused_s: list[float] = []
        self.thrown: list[float] = []
        self.go = asyncio.Event()
        self._dice = random.Random(seed)

    async def pause(self, changed: asyncio.Event, seconds: float) -> None:
        """Takes no time once they are let go."""
        self.paused_s.append(seconds)
        await self.go.wait()
        self.clock.advance(seconds)

    def uniform(self, low: float, high: float) -> float:
        """Throws: once for each chunk that is read."""
        self.thrown.append(self._dice.uniform(low, high))
        return self.thrown[-1]


@asynccontextmanager
async def timed(echo: Echo, time: Time, mode: Mode) -> AsyncIterator[tuple[FaultProxy, Client]]:
    """A proxy in that mode and time, and a connection through it."""
    async with (
        FaultProxy("127.0.0.1", echo.port, clock=time.clock, uniform=time.uniform, pause=time.pause) as proxy,
        dialled(proxy) as client,
    ):
        await proxy.set(mode)
        yield proxy, client


async def in_chunks(client: Client, time: Time, data: bytes) -> None:
    """Sends byte by byte, each after the last one was read by the proxy."""
    for index in range(len(data)):
        await client.send(data[index : index + 1])
        await until(lambda read=index + 1: len(time.thrown) == read)  # type: ignore[misc]


async def test_latency_is_a_delay_line(echo):
    """Chunks that are under way together wait together: all of them arrive after one latency, and in order."""
    line = Time()
    async with timed(echo, line, Latency(0.5, direction="request")) as (_, client):
        await in_chunks(client, line, b"abcdefgh")
        assert echo.seen[0].data == b""
        line.go.set()
        assert await client.receive(8) == b"abcdefgh"
    assert line.paused_s == [0.5]


async def test_jitter_keeps_the_order(echo):
    """A chunk that the dice would let overtake waits for the one before it."""
    line = Time()
    async with timed(echo, line, Latency(0.5, jitter_s=0.4, direction="request")) as (_, client):
        await in_chunks(client, line, b"abcdefghijkl")
        line.go.set()
        assert await client.receive(12) == b"abcdefghijkl"
    assert sorted(line.thrown) != line.thrown
    assert sum(line.paused_s) == pytest.approx(0.5 + max(line.thrown))


async def test_latency_is_in_both_directions(echo, proxy, client):
    """A round trip takes at least twice the latency."""
    await proxy.set(Latency(0.05))
    before = time.monotonic()
    assert await client.exchange(b"there") == b"there"
    assert time.monotonic() - before >= 0.1


SLOW = (Latency(600), Bandwidth(1), Slicer(1, 600))
"""Modes that pause before they send."""


@asynccontextmanager
async def under_way(echo: Echo, slow: Mode, data: bytes) -> AsyncIterator[tuple[FaultProxy, Client]]:
    """A connection on which a slow mode holds that data, for as long as it lasts."""
    held = asyncio.Event()

    async def pause(changed: asyncio.Event, seconds: float) -> None:
        held.set()
        await (changed.wait() if proxy.mode is slow else until_set(changed, seconds))

    async with FaultProxy("127.0.0.1", echo.port, pause=pause) as proxy, dialled(proxy) as client:
        await proxy.set(slow)
        await client.send(data)
        await until(held.is_set)
        yield proxy, client


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("next_mode", [Pass(), Latency(0.001), Slicer(64)])
async def test_the_next_mode_frees_what_is_under_way(echo, slow, next_mode):
    """What a slow mode holds goes on by the rules of the next, in order, on the same connection."""
    async with under_way(echo, slow, b"1" * 1000) as (proxy, client):
        await proxy.set(next_mode)
        assert await client.receive(1000) == b"1" * 1000
        assert await client.exchange(b"2") == b"2"
        assert proxy.counts.connections == 1


@pytest.mark.parametrize("slow", SLOW)
async def test_what_is_under_way_can_still_be_lost(echo, slow):
    """A blackhole swallows what a slow mode holds, to the last byte."""
    async with under_way(echo, slow, b"lost") as (proxy, _):
        await proxy.set(Blackhole())
        await until(lambda: proxy.counts.dropped_bytes == 4)
        assert proxy.counts.request_bytes == 0


@pytest.mark.parametrize("slow", SLOW)
async def test_a_reset_does_not_wait_for_what_is_under_way(echo, slow):
    """What a slow mode holds is lost with its connection."""
    async with under_way(echo, slow, b"late") as (proxy, client):
        await proxy.set(Reset())
        assert await client.is_reset()
        await until(lambda: echo.seen[0].end == "reset")


async def test_freezing_holds_what_is_under_way(echo):
    """What is due while nothing moves is sent when it moves again."""
    line = Time()
    async with timed(echo, line, Latency(0.5, direction="request")) as (proxy, client):
        await in_chunks(client, line, b"abc")
        await proxy.set(Freeze())
        line.go.set()
        await proxy.heal()
        assert await client.receive(3) == b"abc"


async def test_a_delay_line_is_not_endless(echo):
    """A sender is held up when a mebibyte is under way."""
    line = Time()
    async with timed(echo, line, Latency(0.5, direction="request")) as (proxy, client):
        sending = asyncio.create_task(client.send(b"a" * (16 << 20)))
        await until(lambda: len(line.thrown) >= 17)
        read = len(line.thrown)
        assert await asyncio.wait({sending}, timeout=0.1) == (set(), {sending})
        assert proxy.counts.request_bytes == 0
        assert read * 64 * 1024 >= 1 << 20
        await proxy.reset_connections()
        with pytest.raises(ConnectionError):
            await sending


async def test_bandwidth_takes_the_time_of_the_bytes(echo):
    """So many bytes take their number through the bandwidth, in seconds."""
    line = Time()
    line.go.set()
    async with timed(echo, line, Bandwidth(400, direction="request")) as (_, client):
        assert await client.exchange(b"a" * 1000) == b"a" * 1000
    assert sum(line.paused_s) == pytest.approx(2.5)
    assert max(line.paused_s) == pytest.approx(0.1)


async def test_slices_arrive_one_by_one(echo):
    """No slice is sent before its pause, and none is longer than asked for."""
    slices = Time()

    async def until_arrived(changed: asyncio.Event, seconds: float) -> None:
        await until(lambda: len(echo.seen[0].data) == proxy.counts.request_bytes)
        await slices.pause(changed, seconds)

    slices.go.set()
    async with FaultProxy("127.0.0.1", echo.port, clock=slices.clock, pause=until_arrived) as proxy:
        await proxy.set(Slicer(3, 0.2, direction="request"))
        async with dialled(proxy) as client:
            assert await client.exchange(b"1234567890") == b"1234567890"
    assert echo.seen[0].chunks == [b"123", b"456", b"789", b"0"]
    assert slices.paused_s == pytest.approx([0.2] * 4)
