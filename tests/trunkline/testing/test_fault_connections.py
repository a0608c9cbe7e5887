"""What becomes of connections through a proxy when a side ends, and when the proxy does."""

from __future__ import annotations

import asyncio
import socket

import pytest
from trunkline.policies.retry import Uniform
from trunkline.testing.fault_modes import Blackhole, CutAfter, Direction, Freeze, Half, Mode, Pass, Refuse
from trunkline.testing.fault_proxy import FaultProxy

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.testing.echo import Echo, dialled, is_reset_when_new, nothing_left


async def test_passes_a_half_close_on():
    """A client that ends its requests still receives what the server sends after that."""
    with nothing_left():
        async with Echo(goodbye=b"bye") as echo, FaultProxy("127.0.0.1", echo.port) as proxy, dialled(proxy) as client:
            await client.send(b"hello")
            client.end()
            assert await client.receive(100) == b"hellobye"
            await until(lambda: proxy.open_connections == 0)


async def test_a_client_that_closes_ends_the_servers_side(echo, proxy, client):
    """The server sees the end, and the proxy forgets the connection."""
    client.side.close()
    await until(lambda: echo.seen[0].end == "ended" and proxy.open_connections == 0)


async def test_a_client_that_resets_resets_the_servers_side(echo, proxy, client):
    """A reset arrives as a reset."""
    client.reset()
    await until(lambda: echo.seen[0].end == "reset" and proxy.open_connections == 0)


async def test_a_server_that_closes_ends_the_clients_side(echo, proxy, client):
    """The client sees the end."""
    await echo.hang_up(echo.seen[0])
    assert not await client.is_reset()


async def test_a_server_that_resets_resets_the_clients_side(echo, proxy, client):
    """A reset arrives as a reset, and is not counted as the proxy's."""
    echo.seen[0].reset()
    await echo.hang_up(echo.seen[0])
    assert await client.is_reset()
    assert proxy.counts.resets == 0


async def test_a_server_that_is_not_there_resets_the_client():
    """Where nobody listens behind the proxy, connections are reset, and counted as refused."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with FaultProxy("127.0.0.1", port) as proxy:
        assert await is_reset_when_new(proxy)
        assert (proxy.counts.connections, proxy.counts.refused, proxy.counts.resets) == (1, 1, 0)


@pytest.mark.parametrize("mode", [Blackhole(), Half()])
async def test_the_reset_of_a_server_is_swallowed(echo, proxy, client, mode):
    """Where nothing comes back, a server that dies is not heard of; requests go nowhere, and the next mode resets."""
    await proxy.set(mode)
    (connection,) = proxy._open
    echo.seen[0].reset()
    await echo.hang_up(echo.seen[0])
    await until(lambda: connection.lossy)
    await client.send(b"lost")
    await until(lambda: proxy.counts.dropped_bytes == 4)
    assert proxy.open_connections == 1
    await proxy.heal()
    assert await client.is_reset()


@pytest.mark.parametrize("mode", [Blackhole(), Half()])
async def test_the_end_of_a_server_is_swallowed(echo, proxy, client, mode):
    """Where nothing comes back, a server that ends is not heard of, until the next mode resets."""
    await proxy.set(mode)
    (connection,) = proxy._open
    await echo.hang_up(echo.seen[0])
    await until(lambda: connection.lossy)
    await proxy.heal()
    assert await client.is_reset()


class Halted(Mode):
    """Freezes, and tells what was read before it held up the rest."""

    frozen = True

    def __init__(self) -> None:
        self.read = 0

    def delay_s(self, direction: Direction, uniform: Uniform) -> float:
        """Counts."""
        self.read += 1
        return 0.0


async def test_an_end_is_frozen_like_everything(echo, proxy, client):
    """A client that ends while nothing passes is heard of when it passes again."""
    halted = Halted()
    await proxy.set(halted)
    client.end()
    await until(lambda: halted.read == 1)
    async with dialled(echo) as other:
        assert await other.exchange(b"meanwhile") == b"meanwhile"
    assert echo.seen[0].end == ""
    await proxy.heal()
    await until(lambda: echo.seen[0].end == "ended")


async def test_a_client_may_leave_a_blackhole(echo, proxy, client):
    """Nothing is kept for clients that gave up, and the server is told."""
    await proxy.set(Blackhole())
    async with dialled(proxy) as other:
        await other.send(b"lost")
        await until(lambda: proxy.open_connections == 2)
    client.side.close()
    await until(lambda: proxy.open_connections == 0 and echo.seen[0].end == "ended")


@pytest.mark.parametrize("mode", [Pass(), Blackhole(), Half(), Freeze(), Refuse(), CutAfter(response_bytes=9)])
async def test_nothing_outlives_the_block(mode: Mode):
    """Whatever the mode and whatever is under way, leaving ends every task and closes every socket, at both ends."""
    async with Echo() as echo:
        with nothing_left():
            async with FaultProxy("127.0.0.1", echo.port) as proxy, dialled(proxy) as one, dialled(proxy) as other:
                assert await one.exchange(b"hello") == b"hello"
                await proxy.set(mode)
                await one.send(b"1")
                await other.send(b"2")
                await proxy.__aexit__()
                assert proxy.open_connections == 0
            await echo.hang_up(*echo.seen)


async def test_may_be_left_before_a_connection_begins(echo):
    """A connection that was taken a moment before is closed as well."""
    async with FaultProxy("127.0.0.1", echo.port) as proxy:
        side = socket.create_connection(("127.0.0.1", proxy.port))
        await asyncio.sleep(0)
    side.close()
