"""Modes that change at any moment, while connections come and go."""

from __future__ import annotations

import asyncio
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
from trunkline.testing.fault_proxy import FaultProxy

from tests.trunkline.testing.echo import CHUNK_BYTES, Client, dialled

SWITCHES = 150
TURNS = 30
MODES: tuple[Mode, ...] = (
    Pass(), Latency(0.002, jitter_s=0.002), Bandwidth(500_000), Slicer(100, 0.0), Blackhole(), Half(),
    CutAfter(response_bytes=3000), CutAfter(request_bytes=3000), Reset(), Refuse(), Freeze(),
)  # fmt: skip
COUNTED = b"".join(number.to_bytes(4) for number in range(50_000))
"""No part of it looks like another."""


async def talk(proxy: FaultProxy, received: list[bytes]) -> None:
    """Connects again and again, and sends on each connection what nobody could mistake."""
    while True:
        try:
            async with dialled(proxy) as client:
                received.append(b"")
                async with asyncio.TaskGroup() as group:
                    group.create_task(client.send(COUNTED))
                    group.create_task(listen(client, received, len(received) - 1))
        except* (ConnectionError, TimeoutError):
            await asyncio.sleep(0)


async def listen(client: Client, received: list[bytes], index: int) -> None:
    """Notes what comes."""
    while len(received[index]) < len(COUNTED):
        data = await asyncio.get_running_loop().sock_recv(client.side, CHUNK_BYTES)
        if not data:
            raise ConnectionResetError
        received[index] += data


@pytest.mark.parametrize("seed", range(3))
async def test_what_arrives_is_what_was_sent(echo, proxy, seed):
    """However modes follow each other, each side receives a beginning of what was sent: never a gap, nothing twice.

    Healed, the proxy serves new connections as if nothing had been.
    """
    dice, received = random.Random(seed), list[bytes]()
    talkers = [asyncio.create_task(talk(proxy, received)) for _ in range(3)]
    for _ in range(SWITCHES):
        await proxy.set(dice.choice(MODES))
        for _ in range(dice.randrange(TURNS)):
            await asyncio.sleep(0)
    await proxy.heal()
    async with dialled(proxy) as client:
        assert await client.exchange(b"well") == b"well"
    for talker in talkers:
        talker.cancel()
    await asyncio.wait(talkers)
    assert len(received) > 3
    assert all(COUNTED.startswith(data) for data in received)
    assert all(COUNTED.startswith(seen.data) for seen in echo.seen if seen.data != b"well")
