"""Several processes on one SQLite database: all write, nobody is refused, nothing is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from trunkline.storage import SqliteDatabase

from tests.trunkline.storage.bench import METADATA, PLATFORM

WRITER = """
import asyncio, pathlib, sys
import sqlalchemy as sa
from trunkline.storage import SqliteDatabase
from tests.trunkline.storage.bench import METADATA, PLATFORM

TABLE = PLATFORM.outbox_number
NEXT = sa.update(TABLE).where(TABLE.c.topic == "t").values(number=TABLE.c.number + 1)

async def main():
    database = SqliteDatabase(pathlib.Path(sys.argv[1]), METADATA)
    await database.open()
    for _ in range(int(sys.argv[2])):
        await asyncio.gather(*(database.write(lambda connection: connection.execute(NEXT).rowcount) for _ in range(4)))
    await database.close()

asyncio.run(main())
"""


async def test_processes_count_together(tmp_path: Path):
    """Three processes raise one number 200 times each, four at once: it ends at 600, and none was told to wait."""
    database = SqliteDatabase(tmp_path / "x.db", METADATA)
    await database.open()
    row = {"topic": "t", "key": "k", "number": 0}
    await database.write(lambda connection: connection.execute(sa.insert(PLATFORM.outbox_number), row).rowcount)
    command = [sys.executable, "-c", WRITER, str(tmp_path / "x.db"), "50"]
    writers = [asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60) for _ in range(3)]
    ended = await asyncio.gather(*writers)
    assert [(one.returncode, one.stderr) for one in ended] == [(0, b"")] * 3
    number = await database.read(lambda connection: connection.scalar(sa.select(PLATFORM.outbox_number.c.number)))
    assert number == 600
    await database.close()
