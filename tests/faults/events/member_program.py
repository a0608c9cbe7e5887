"""A reader in a process of its own, one of several on one database: it beats and consumes until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from trunkline.events import Consumer, ConsumerTransaction, Event
from trunkline.events.shard import Entry
from trunkline.faultpoints import configure_faultpoints
from trunkline.storage.leases import Leases

from tests.trunkline.events.notes import GROUP, PLATFORM, Note, keep, opened


def keep_and_tell(transaction: ConsumerTransaction, event: Event, *, diary: Path, takes_s: float) -> None:
    """Has the effect of an event, and writes into a diary when that began and when it ended, and in which process."""
    envelope = event.envelope
    with diary.open("a", encoding="ascii") as lines:
        print("begins", os.getpid(), envelope.key, envelope.number, file=lines, flush=True)
        time.sleep(takes_s)
        keep(transaction, event)
        print("ends", os.getpid(), envelope.key, envelope.number, file=lines, flush=True)


GATE = asyncio.Lock()
"""One thing at a time: a process that is stopped in the middle of a beat keeps the lock of SQLite's file, and others
cannot go on."""


class CalmLeases(Leases):
    """Beats while the consumer waits for its turn."""

    async def beat(self) -> None:
        """See Leases."""
        async with GATE:
            await super().beat()


class CalmConsumer(Consumer):
    """Reads and applies while no beat is on its way."""

    async def _read_new(self) -> list[Entry]:
        async with GATE:
            return await super()._read_new()

    async def _handle(
        self, entries: Sequence[Entry], stop: asyncio.Event, *, tried: bool = False, go_on: bool = False
    ) -> None:
        async with GATE:
            await super()._handle(entries, stop, tried=tried, go_on=go_on)


async def main() -> None:
    """Reads until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("database", type=Path)
    parser.add_argument("url")
    parser.add_argument("diary", type=Path)
    parser.add_argument("--ttl-s", type=float, default=3.0)
    parser.add_argument("--takes-s", type=float, default=0.0)
    parser.add_argument("--faults", default="")
    given = parser.parse_args()
    configure_faultpoints(given.faults, "test")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    handler = partial(keep_and_tell, diary=given.diary, takes_s=given.takes_s)
    beats: type[Leases] = CalmLeases if given.faults else Leases
    consumes: type[Consumer] = CalmConsumer if given.faults else Consumer
    async with opened(given.database) as database:
        leases = beats(database, PLATFORM, ttl_s=given.ttl_s, beat_s=given.ttl_s / 3)
        reader = consumes(
            database, PLATFORM, given.url, group=GROUP, handlers={Note: handler}, leases=leases, block_s=0.2
        )
        await asyncio.gather(leases.run(stop), reader.run(stop))
        await leases.end()


if __name__ == "__main__":
    asyncio.run(main())
