"""The report service's consumer as a process of its own, `python -m bench.eventing.reader_program DATABASE REDIS OUT`.

It ends with SIGTERM, and then writes into OUT when each effect was kept: event id → nanoseconds of the monotonic clock,
which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from trunkline.events import Consumer, ConsumerTransaction, Event, Handler
from trunkline.storage import SqliteDatabase
from trunkline.storage.leases import Leases
from trunkline.telemetry.logs import configure_logs

from services.report.consumers.handlers import HANDLERS
from services.report.storage.tables import METADATA, PLATFORM

T = TypeVar("T")


class Stamped(SqliteDatabase):
    """Notes when what its handlers did was committed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, METADATA)
        self.kept: dict[str, int] = {}
        """Event id → when its effect was kept."""
        self._doing: list[str] = []

    def noting(self, handler: Handler) -> Handler:
        """The same handler, whose events are noted."""

        def handle(tx: ConsumerTransaction, event: Event) -> None:
            handler(tx, event)
            self._doing.append(event.envelope.id)

        return handle

    async def write(self, work: Callable[[sa.Connection], T], *, committed: Callable[[T], object] | None = None) -> T:
        """As ever; one write at a time has effects here, that of the consumer."""
        result = await super().write(work, committed=committed)
        now, done, self._doing = time.monotonic_ns(), self._doing, []
        self.kept.update((event_id, now) for event_id in done)
        return result


async def main(path: Path, url: str) -> dict[str, int]:
    """Consumes until it is told to end; tells when each effect was kept."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = Stamped(path)
    await database.open()
    leases = Leases(database, PLATFORM)
    handlers = {message: database.noting(handler) for message, handler in HANDLERS.items()}
    consumer = Consumer(database, PLATFORM, url, group="report", handlers=handlers, leases=leases)
    await leases.beat()
    beating = asyncio.create_task(leases.run(stop))
    await consumer.run(stop)
    await beating
    await leases.end()
    await database.close()
    return database.kept


if __name__ == "__main__":
    configure_logs("report", "error")
    kept = asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(kept))
