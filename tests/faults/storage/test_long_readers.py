"""Whoever reads for long keeps the write-ahead log from being folded into the file: it grows, and that is told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from trunkline.errors import ServiceError
from trunkline.events.figures import Figures
from trunkline.storage import SqliteDatabase, files, sqlite
from trunkline.telemetry import event_metrics
from trunkline.telemetry.event_metrics import EventMetrics

from tests.trunkline.storage.bench import EFFECT, METADATA, PLATFORM, SOURCE

FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
"""With TRUNKLINE_FAULTS_FULL=1 sizes are those of the real thing, and what lasts a second lasts ten minutes."""
KIB = 1024
LIMIT, WARN = (sqlite.JOURNAL_LIMIT_BYTES, files.LOG_WARN_BYTES) if FULL else (KIB * KIB, 16 * KIB * KIB)
USUAL = 6 * KIB * KIB
"""A log without long readers is folded in at a thousand pages, four MiB, and is cut to LIMIT when it was longer."""
SECONDS = 600.0 if FULL else 3.0
pytestmark = pytest.mark.timeout(SECONDS + 120)
READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM effect").fetchone()
print("reads", flush=True)
sys.stdin.read()
"""
"""Another process, which keeps its snapshot until its input ends."""
FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
ROW_BYTES = 8 * KIB
NAMES = 100_000 if FULL else 20_000
REPLACE = sa.insert(EFFECT).prefix_with("OR REPLACE")


@asynccontextmanager
async def read_by_somebody(path: Path) -> AsyncIterator[None]:
    """For the length of the block another process reads the file as it was at its beginning."""
    command = [sys.executable, "-c", READER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:  # noqa: ASYNC220  it is brief
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert await asyncio.to_thread(reader.stdout.readline) == b"reads\n"
        yield
        reader.stdin.close()


class Writing:
    """Writes rows, at first new ones, then the oldest anew: the file need not grow for ever."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.rows = 0
        """So many were written."""
        self._database = database

    async def write(self, count: int = 64) -> None:
        """Writes some."""
        names = [f"{(self.rows + n) % NAMES}" for n in range(count)]
        values = [{"tenant_id": "t", "name": name, "note": "x" * ROW_BYTES} for name in names]
        await self._database.write(lambda connection: connection.execute(REPLACE, values) and None)
        self.rows += count

    async def beyond(self, log_bytes: int) -> None:
        """Writes until the log is as long."""
        while self._database.log_bytes <= log_bytes:
            await self.write()


def warnings(entries: list[structlog.typing.EventDict]) -> int:
    """How often it was told."""
    return sum(one["event"].startswith("the log of the database grows") for one in entries)


async def test_somebody_reads_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """G5: writes go on, health too; the log's length is told, one warning once it is long; after it the log is cut."""
    log = structlog.testing.LogCapture()
    monkeypatch.setattr(files, "_log", structlog.wrap_logger(None, [log], structlog.BoundLogger))
    monkeypatch.setattr(files, "LOG_WARN_BYTES", WARN)
    monkeypatch.setattr(sqlite, "JOURNAL_LIMIT_BYTES", LIMIT)
    database = SqliteDatabase(tmp_path / "x.db", METADATA)
    await database.open()
    writing, metrics = Writing(database), EventMetrics()
    figures = Figures(database, PLATFORM, SOURCE, None, [], {}, into=metrics)
    for told in (1, 2):
        async with read_by_somebody(database.path):
            await writing.beyond(WARN // 2)
            await database.check()
            assert warnings(log.entries) == told - 1
            await writing.beyond(WARN)
            for _ in range(3):
                await database.check()
            assert warnings(log.entries) == told
            figures._count()
            (length,) = metrics.told()[event_metrics.LOG_BYTES].values()
            assert length == database.log_bytes > WARN
        for _ in range(4):  # one folds it in, the next begins it anew and cuts it
            await writing.write()
        assert database.log_bytes <= max(LIMIT, USUAL)
        await database.check()
    assert log.entries[-1]["file"] == str(database.path)
    count = await database.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(EFFECT)))
    assert count == writing.rows < NAMES
    await database.close()


async def test_our_own_readers_do_not_make_it_grow(tmp_path: Path):
    """G5: reads and writes at once, as fast as they go: there is hardly a moment without a reader, and no harm."""
    database = SqliteDatabase(tmp_path / "x.db", METADATA)
    await database.open()
    writing, until, longest = Writing(database), time.monotonic() + SECONDS, 0
    query = sa.select(EFFECT.c.note).limit(200)

    async def read() -> None:
        while time.monotonic() < until:
            await database.read(lambda connection: connection.execute(query).all() and None)

    async def write() -> None:
        nonlocal longest
        while time.monotonic() < until:
            await writing.write(8)
            longest = max(longest, database.log_bytes)

    await asyncio.gather(write(), *(read() for _ in range(4)))
    assert 0 < longest <= sqlite.JOURNAL_LIMIT_BYTES, longest
    await database.close()
    print(f"longest log {longest / KIB / KIB:.1f} MiB")


async def test_a_read_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """G5: a read of ours ends after half a minute as UNAVAILABLE / STORAGE_UNAVAILABLE; the next one is not hurt."""
    assert sqlite.READ_S == 30
    monkeypatch.setattr(sqlite, "READ_S", 0.3)
    database = SqliteDatabase(tmp_path / "x.db", METADATA, readers=1)
    await database.open()
    began = time.monotonic()
    with pytest.raises(ServiceError, match="STORAGE_UNAVAILABLE: the statement was interrupted"):
        await database.read(lambda connection: connection.scalar(sa.text(FOREVER)))
    assert time.monotonic() - began >= 0.3
    assert await database.read(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1
    await database.close()
