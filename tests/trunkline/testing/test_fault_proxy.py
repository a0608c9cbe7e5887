"""What passes through a proxy in each of its modes."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from trunkline.testing.fault_modes import Blackhole, CutAfter, Freeze, Half, Pass, Refuse, Reset

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.testing.echo import dialled, is_reset_when_new

MUCH = os.urandom(1 << 20) * 4
"""More than the buffers of the kernel hold for one connection whose receiver reads nothing."""
MORE = 64 << 20
"""Bytes: more than they hold on the whole way to the server and back."""
NOT_YET_S = 0.2
"""How long a sender is watched that must not get on: a machine too slow to show a mistake shows none."""


async def test_passes_everything(echo, proxy):
    """Without a fault all bytes of all connections arrive, in order, and are counted."""
    async with dialled(proxy) as one, dialled(proxy) as other:
        much, little = await asyncio.gather(one.exchange(b"a" * 300_000), other.exchange(b"b"))
        assert (much, little) == (b"a" * 300_000, b"b")
        assert proxy.open_connections == 2
    await until(lambda: proxy.open_connections == 0)
    assert sorted(len(seen.data) for seen in echo.seen) == [1, 300_000]
    counts = proxy.counts
    assert (counts.connections, counts.request_bytes, counts.response_bytes) == (2, 300_001, 300_001)
    assert (counts.refused, counts.resets, counts.dropped_bytes) == (0, 0, 0)


async def test_listens_on_loopback(proxy):
    """Its target is the address of its port on loopback."""
    assert proxy.target == f"127.0.0.1:{proxy.port}"
    assert proxy.port > 0


async def test_blackhole_swallows_new_connections(echo, proxy):
    """A connection is taken and read, the server never hears of it; healing resets it, and the next one works."""
    await proxy.set(Blackhole())
    async with dialled(proxy) as client:
        await client.send(b"lost")
        await until(lambda: proxy.counts.dropped_bytes == 4)
        assert (echo.seen, proxy.counts.request_bytes, proxy.counts.response_bytes) == ([], 0, 0)
        await proxy.heal()
        assert await client.is_reset()
    async with dialled(proxy) as client:
        assert await client.exchange(b"hello") == b"hello"
    assert echo.seen[0].data == b"hello"


async def test_blackhole_swallows_open_connections(echo, proxy, client):
    """Requests don't arrive; healing resets both sides, so that nothing follows a gap."""
    await proxy.set(Blackhole())
    await client.send(b"lost")
    await until(lambda: proxy.counts.dropped_bytes == 4)
    await proxy.heal()
    assert await client.is_reset()
    await until(lambda: echo.seen[0].end == "reset")
    assert echo.seen[0].data == b"hello"
    assert proxy.counts.resets == 1


async def test_a_connection_that_lost_nothing_survives_a_blackhole(echo, proxy, client):
    """Only what lost bytes is closed when the mode ends."""
    await proxy.set(Blackhole())
    await proxy.heal()
    assert await client.exchange(b"again") == b"again"


async def test_half_passes_requests_and_drops_responses(echo, proxy, client):
    """The server gets the request and answers; the client hears nothing, and is reset by the next mode."""
    await proxy.set(Half())
    await client.send(b"effect")
    await until(lambda: proxy.counts.dropped_bytes == len(b"effect"))
    assert echo.seen[0].data == b"helloeffect"
    assert proxy.counts.response_bytes == len(b"hello")
    await proxy.set(Freeze())
    assert await client.is_reset()


async def test_cut_after_bytes_of_the_response(echo, proxy, client):
    """Exactly so many bytes come back, counted from when the mode was set; then both sides are reset."""
    await proxy.set(CutAfter(response_bytes=7))
    assert await client.exchange(b"1234") == b"1234"
    await client.send(b"56789")
    assert await client.receive(3) == b"567"
    assert await client.is_reset()
    await until(lambda: echo.seen[0].end == "reset")
    assert proxy.counts.resets == 1


async def test_cut_after_counts_each_connection(echo, proxy):
    """A new connection may pass as much as the last one."""
    await proxy.set(CutAfter(response_bytes=2))
    for _ in range(2):
        async with dialled(proxy) as client:
            await client.send(b"123")
            assert await client.receive(2) == b"12"
            assert await client.is_reset()


async def test_cut_before_the_first_response(echo, proxy, client):
    """With 0 bytes the request arrives and its response is lost."""
    await proxy.set(CutAfter(response_bytes=0))
    await client.send(b"effect")
    assert await client.is_reset()
    assert echo.seen[0].data == b"helloeffect"


async def test_cut_after_bytes_of_the_request(echo, proxy, client):
    """No more than so many bytes reach the server."""
    await proxy.set(CutAfter(request_bytes=3))
    await client.send(b"123456")
    await until(lambda: echo.seen[0].end == "reset")
    assert echo.seen[0].data == b"hello123"


async def test_reset_cuts_open_connections_and_new_ones(echo, proxy, client):
    """Both sides of an open connection see a reset at once, new ones get no further; then all is well again."""
    await proxy.set(Reset())
    assert proxy.open_connections == 0
    assert await client.is_reset()
    await until(lambda: echo.seen[0].end == "reset")
    assert await is_reset_when_new(proxy)
    assert (proxy.counts.resets, len(echo.seen)) == (2, 1)
    await proxy.heal()
    async with dialled(proxy) as again:
        assert await again.exchange(b"again") == b"again"


async def test_reset_connections_keeps_the_mode(echo, proxy, client):
    """What is open is cut, what comes next is treated as before."""
    await proxy.reset_connections()
    assert await client.is_reset()
    assert proxy.mode == Pass()
    async with dialled(proxy) as again:
        assert await again.exchange(b"again") == b"again"
    assert proxy.counts.resets == 1


async def test_refuse_closes_the_listener(echo, proxy, client):
    """New connections are refused and open ones go on; healed, it listens on the same port."""
    port = proxy.port
    for _ in range(3):
        await proxy.set(Refuse())
        with pytest.raises(ConnectionRefusedError):
            async with dialled(proxy):
                pass
        assert await client.exchange(b"on") == b"on"
        await proxy.heal()
        async with dialled(proxy) as again:
            assert await again.exchange(b"again") == b"again"
    assert proxy.port == port
    assert proxy.counts.connections == 4


async def test_nobody_takes_the_port_of_a_refusing_proxy(proxy):
    """While nobody listens on it, the port is still the proxy's."""
    await proxy.set(Refuse())
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", proxy.port))


async def test_freeze_holds_everything_back(echo, proxy, client):
    """Nothing is read, so that a sender is held up; healed, everything arrives on the same connection."""
    await proxy.set(Freeze())
    sending = asyncio.create_task(client.send(MUCH))
    assert await asyncio.wait({sending}, timeout=NOT_YET_S) == (set(), {sending})
    assert proxy.counts.request_bytes == len(b"hello")
    await proxy.heal()
    assert await client.receive(len(MUCH)) == MUCH
    await sending
    assert proxy.counts.connections == 1


async def test_a_receiver_that_does_not_read_holds_the_sender_up(echo, proxy, client):
    """The proxy itself stores next to nothing."""
    sending = asyncio.create_task(client.send(bytes(MORE)))
    assert await asyncio.wait({sending}, timeout=NOT_YET_S) == (set(), {sending})
    await proxy.reset_connections()
    with pytest.raises(ConnectionError):
        await sending
