"""A program that works in a folder which becomes read-only, and says how each step went.

It is run as a user to whom modes apply: root may write anywhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from pathlib import Path

from trunkline.errors import ServiceError
from trunkline.storage import DatabaseRefused, SqliteDatabase

from tests.trunkline.storage.bench import METADATA, insert, names

NOBODY = 65534
READ_ONLY, WRITABLE = 0o500, 0o700


def become(path: Path, mode: int) -> None:
    """Gives a file or a folder a mode."""
    path.chmod(mode)


class Steps:
    """What was done, and how it went."""

    def __init__(self) -> None:
        self.went: dict[str, object] = {}
        """By step."""

    async def do(self, step: str, work: Awaitable[object]) -> None:
        """Does one."""
        try:
            self.went[step] = await work
        except (ServiceError, DatabaseRefused) as error:
            self.went[step] = str(error)


async def main(folder: Path) -> dict[str, object]:
    """While it is open the folder becomes read-only; then it is opened there, and where its log is missing."""
    steps, path = Steps(), folder / "x.db"
    database = SqliteDatabase(path, METADATA, busy_timeout_s=1)
    await database.open()
    await database.write(insert("before"))
    become(folder, READ_ONLY)
    await steps.do("write", database.write(insert("meanwhile")))
    await steps.do("read", database.read(names))
    await steps.do("check", database.check())
    await database.close()
    become(folder, WRITABLE)
    for left in ("x.db-wal", "x.db-shm"):
        (folder / left).unlink(missing_ok=True)  # empty by now: the last one who closes writes it into the file
    become(folder, READ_ONLY)
    await steps.do("open", SqliteDatabase(path, METADATA).open())
    become(folder, WRITABLE)
    become(path, 0o400)
    await steps.do("open a file that may not be written", SqliteDatabase(path, METADATA).open())
    become(path, 0o600)
    again = SqliteDatabase(path, METADATA)
    await again.open()
    await again.write(insert("after"))
    await steps.do("afterwards", again.read(names))
    await again.close()
    return steps.went


if __name__ == "__main__":
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
