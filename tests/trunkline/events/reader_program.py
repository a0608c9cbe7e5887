"""A reader in a process of its own, which dies where it would acknowledge: after the commit, before Redis knows."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trunkline.events.shard import Shard
from trunkline.events.streams.link import Link

from tests.trunkline.events.notes import consumer, opened


class DyingLink(Link):
    """The end of the process stands in the place of the acknowledgement."""

    async def acknowledge(self, group: str, done: Mapping[Shard, Sequence[bytes]]) -> None:
        """Kills the process."""
        os.kill(os.getpid(), signal.SIGKILL)


async def main(database_file: Path, url: str) -> None:
    """Reads until it dies."""
    async with opened(database_file) as database:
        reader = consumer(database, url)
        reader._control = DyingLink(url, name="dying")
        await reader.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
