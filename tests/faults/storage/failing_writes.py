"""A program whose files may not grow for a while, so that every write fails; it says what callers and health are told.

A process of its own: the limit holds for all files of a process.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

from trunkline.storage import SqliteDatabase

from tests.faults.storage.unwritable import Steps
from tests.trunkline.storage.bench import METADATA, insert, names


def may_grow_to(size: int) -> None:
    """Longer files cannot be written; Python has the signal ignored, so that writes fail."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def main(path: Path) -> dict[str, object]:
    """Writes before, while nothing can be written, and after."""
    steps, database = Steps(), SqliteDatabase(path, METADATA)
    await database.open()
    await database.write(insert("before"))
    await steps.do("healthy before", database.check())
    may_grow_to(1)
    await steps.do("healthy, for nobody has tried", database.check())
    await steps.do("write", database.write(insert("lost")))
    await steps.do("health", database.check())
    await steps.do("health again", database.check())
    await steps.do("read", database.read(names))
    may_grow_to(resource.RLIM_INFINITY)
    await steps.do("healthy after", database.check())
    await steps.do("write after", database.write(insert("after")))
    await steps.do("afterwards", database.read(names))
    await database.close()
    return steps.went


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
