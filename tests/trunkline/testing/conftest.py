"""What the tests of the fault proxy share: an echo server, a proxy before it, and a connection through both."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from trunkline.testing.fault_proxy import FaultProxy

from tests.trunkline.testing.echo import Client, Echo, dialled, nothing_left


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """An echo server; after the test no task and no socket is left of it, or of what stood before it."""
    with nothing_left():
        async with Echo() as echo:
            yield echo


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    """A proxy before the echo server."""
    async with FaultProxy("127.0.0.1", echo.port) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    """A connection through the proxy that has been used."""
    async with dialled(proxy) as client:
        assert await client.exchange(b"hello") == b"hello"
        yield client
