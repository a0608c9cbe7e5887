"""A process that sells until it is killed; it prints the name of each unit after it was answered."""

from __future__ import annotations

import asyncio
import itertools
import sys
import uuid
from pathlib import Path

from trunkline.storage import SqliteDatabase, UnitOfWork

from tests.trunkline.storage.bench import METADATA, PLATFORM, SOURCE, adding, call

CALLERS = 8


async def main(directory: Path) -> None:
    """Opens the database and keeps several callers busy."""
    database = SqliteDatabase(directory / "bench.db", METADATA)
    await database.open()
    unit = UnitOfWork(database, PLATFORM, source=SOURCE, secret_file=directory / "answers.secret")

    async def caller() -> None:
        for _ in itertools.count():
            name = uuid.uuid4().hex
            with call(name, answers=unit.answers):
                await unit.run(adding(name))
            print(name, flush=True)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
