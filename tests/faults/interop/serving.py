"""The bench for other clients, served behind our whole chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trunkline.server import Server
from trunkline.service import Service
from trunkline.testing.ping import BENCH_SETTINGS

from tests.faults.interop.echo import Echo


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, Echo]]:
    """A server of the bench."""
    echo = Echo()  # type: ignore[abstract]
    async with Server([Service(name="interop", servicers=[echo])], BENCH_SETTINGS) as server:
        yield server, echo
