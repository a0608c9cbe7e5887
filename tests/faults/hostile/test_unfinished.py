"""Calls whose request never comes, or comes byte by byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from trunkline.settings import PlatformSettings

from tests.faults.calls.raw_call import END_HEADERS, END_STREAM
from tests.faults.hostile.conftest import FULL, under_fault
from tests.faults.hostile.flood import block, flood, opened, streams
from tests.faults.hostile.peer import ADD, Peer, headers_of, message
from tests.faults.hostile.victim import Victim

EMPTY = 10_000
REAPED_S = 10.0
"""Seconds within which a call must be ended that does not come to its end."""
HOUR = "1H"
SERVICE = "/trunk.testing.v1.PingService"


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A server as shipped, but for the time it waits: seconds of it are seconds of each case."""
    with Victim(tmp_path_factory.mktemp("victim"), request_timeout_s=8.0 if FULL else 1.5) as running:
        yield running


async def test_calls_without_a_message(victim: Victim):
    """C10: 10,000 calls that are half-closed without a message are all answered at once; nothing of them is left."""
    calls = opened(block(headers_of()), streams(0, EMPTY), flags=END_HEADERS | END_STREAM)
    async with under_fault(victim) as fault:
        wave = await flood(victim.port, calls, ends=EMPTY, within_s=REAPED_S)
        assert wave.ended >= EMPTY
        assert wave.seconds < REAPED_S
    assert fault.handled == 0


@pytest.mark.parametrize("method", ["Ping", "PingMany", "PingAll"])
async def test_one_call_without_a_message(victim: Victim, method: str):
    """C10: a call that is half-closed without a message is answered: it carries no request. An empty stream is one."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        outcome = await peer.call(headers_of(f"{SERVICE}/{method}"), b"")
        refused = (3, "the call carries no request")
        assert (outcome.status, outcome.text) == ((0, "") if method == "PingAll" else refused)
    assert fault.handled == 0


@pytest.mark.parametrize("method", ["Ping", "PingMany", "PingAll"])
async def test_a_message_that_never_comes(victim: Victim, method: str):
    """C10: a call with an hour's deadline and no message is ended within 10 s, whatever its shape."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        begun = time.monotonic()
        stream = peer.open(headers_of(f"{SERVICE}/{method}", grpc_timeout=HOUR))
        outcome = await peer.end_of(stream)
        assert (outcome.status, outcome.text) == (4, "the request did not arrive in the time it has")
        assert time.monotonic() - begun < REAPED_S
    assert fault.handled == 0


@pytest.mark.parametrize("path", [f"{SERVICE}/Ping", ADD])
async def test_a_message_byte_by_byte(victim: Victim, path: str):
    """C10: a message that comes byte by byte is ended within 10 s, though bytes still come."""
    token = [("authorization", f"Bearer {victim.tokens['user']}")]
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        begun = time.monotonic()
        slow = [peer.open([*headers_of(path, grpc_timeout=HOUR), *token]) for _ in range(20)]
        for byte in message(bytes(100), length=1000):
            for stream in slow:
                await peer.send(stream, bytes([byte]))
            if all(peer.outcome(stream).ended for stream in slow):
                break
            await asyncio.sleep(0.25)
        assert {peer.outcome(stream).status for stream in slow} == {4}
        assert time.monotonic() - begun < REAPED_S
    assert fault.handled == 0


async def test_more_unfinished_calls_than_may_run(victim: Victim):
    """C10: more calls without a message than may run at once: they take nobody's place, and are gone within 10 s."""
    # Beyond four times as many at one instant the oldest are shed, an honest one perhaps among them.
    connections = 8
    a_connection = PlatformSettings().max_streams_per_connection
    assert connections * a_connection > 2 * PlatformSettings().max_concurrent_calls
    calls = opened(block(headers_of(grpc_timeout=HOUR)), streams(0, a_connection))
    async with under_fault(victim) as fault:
        waves = await asyncio.gather(
            *(flood(victim.port, calls, ends=a_connection // 2, within_s=15.0) for _ in range(connections))
        )
        assert max(wave.seconds for wave in waves) < 15.0
    assert fault.handled == 0
