"""A server as a process of its own, `python -m tests.faults.calls.faulty`: three services on FAULTY_PORT.

SIGUSR1 makes it ten times slower, SIGHUP makes its pings fail, SIGUSR2 all as before; what it does stands in its
journal and its database.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import server
from trunkline.client import connect
from trunkline.clock import SystemClock
from trunkline.server import SERVER_ORDER, Server
from trunkline.service import Service
from trunkline.settings import PlatformSettings, ServiceSettings, load
from trunkline.storage import Database, SqliteDatabase, UnitOfWork
from trunkline.telemetry.logs import configure_logs

from tests.faults.calls.books import METADATA, PLATFORM
from tests.faults.calls.journal import JournalWriter
from tests.faults.calls.servicers import ILL, Effects, Pings, Policies, World
from tests.trunkline.interceptors.people import Verifier


class FaultySettings(ServiceSettings, env_prefix="FAULTY_"):
    """Settings of the program."""

    folder: Path
    """Where its journal, its database and its secret are."""
    next_target: str = ""
    """Where its pings go on to; empty: nowhere."""
    streams: int = 0
    """Calls that a connection may carry at once (`grpc.max_concurrent_streams`); 0: as the platform says."""
    slots: int = 0
    """Pings that are worked on at once; the others wait for their turn. 0: all of them."""
    days_ahead: int = 0
    """How many days its calendar is ahead."""


class Ahead(SystemClock):
    """The machine's clocks, with another date."""

    def __init__(self, days: int) -> None:
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        """The instant that it takes it to be."""
        return super().now() + self._ahead


async def main(platform: PlatformSettings, settings: FaultySettings) -> None:
    """Serves until SIGTERM."""
    journal, clock = JournalWriter(settings.folder / "journal"), Ahead(settings.days_ahead)
    if settings.streams:
        server.OPTIONS = (*server.OPTIONS, ("grpc.max_concurrent_streams", settings.streams))
    database = SqliteDatabase(settings.folder / "faulty.db", METADATA, lock_wait_s=5.0)
    await database.open()
    secret = settings.folder / "answers.secret"
    unit = UnitOfWork(database, PLATFORM, source="faulty", secret_file=secret, clock=clock)
    world = World(journal, unit, slots=asyncio.Semaphore(settings.slots) if settings.slots else None)
    async with AsyncExitStack() as stack:
        if settings.next_target:
            channel: Any = await stack.enter_async_context(connect("next", target=settings.next_target))
            world.following = pb_grpc.PingServiceStub(channel)
        served = _server(world, database, platform, settings, clock)
        _obey_signals(world, served)
        await stack.enter_async_context(served)
        journal.note("serving", number=served.port)
        await served.ended.wait()
    journal.note("tasks", number=len(asyncio.all_tasks()))


def _server(
    world: World, database: Database, platform: PlatformSettings, settings: FaultySettings, clock: Ahead
) -> Server:
    service = Service(
        name="faulty",
        servicers=[Pings(world), Effects(world), Policies(world)],
        verifier=Verifier(),
        answers=world.unit.answers,
        gate=database.check,
        background=[world.unit.answers.expire_until],
        close=[database.close],
    )
    order = (world.arrivals, *SERVER_ORDER)
    return Server([service], platform, port=settings.port, clock=clock, order=order)


def _obey_signals(world: World, served: Server) -> None:
    loop = asyncio.get_running_loop()

    def becomes(what: str, slower: int, failing: bool = False) -> None:
        world.slower, world.failing = slower, failing
        world.journal.note(what)

    loop.add_signal_handler(signal.SIGTERM, served.ended.set)
    loop.add_signal_handler(signal.SIGUSR1, becomes, "ill", ILL)
    loop.add_signal_handler(signal.SIGHUP, becomes, "failing", 1, True)
    loop.add_signal_handler(signal.SIGUSR2, becomes, "well", 1)


if __name__ == "__main__":
    found_platform, found_settings = load(PlatformSettings, FaultySettings)
    assert isinstance(found_platform, PlatformSettings)
    assert isinstance(found_settings, FaultySettings)
    configure_logs("faulty", "info")
    asyncio.run(main(found_platform, found_settings))
