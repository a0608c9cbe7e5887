"""A database file that somebody else holds, or that was damaged."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from trunkline.errors import ServiceError
from trunkline.storage import DatabaseRefused, SqliteDatabase, sqlite
from trunkline.storage.migrate import upgrade

from services.store.storage import tables
from tests.trunkline.storage.bench import METADATA, insert, names

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
"""Another process, which holds the file until its input ends."""
BUSY_S = 1.5
"""Seconds that a write waits for others."""
PAGE = 4096
"""Bytes of a page."""


class Passing:
    """A clock on which a second passes at each look."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        self._now += 1.0
        return self._now


async def test_another_process_holds_the_file(tmp_path: Path):
    """G1: writes wait for the busy timeout, then are UNAVAILABLE and keep nothing; reads go on; then all is well."""
    database = SqliteDatabase(tmp_path / "x.db", METADATA, busy_timeout_s=BUSY_S)
    await database.open()
    await database.write(insert("before"))
    command = [sys.executable, "-c", HOLDER, str(database.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220  it is brief
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"held\n"
        began = asyncio.get_running_loop().time()
        refused = await asyncio.gather(*(database.write(insert(f"{n}")) for n in range(3)), return_exceptions=True)
        assert asyncio.get_running_loop().time() - began >= BUSY_S
        assert [one.reason for one in refused if isinstance(one, ServiceError)] == ["STORAGE_UNAVAILABLE"] * 3
        assert await database.read(names) == ["before"]
        waits = asyncio.create_task(database.write(insert("after")))
        holder.stdin.close()
    await waits
    assert await database.read(names) == ["after", "before"]
    await database.close()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another connection has a file to itself during a block."""
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.execute("ROLLBACK")


async def test_a_service_starts_while_another_process_holds_its_file(tmp_path: Path):
    """G1: to look whether its tables are there it waits for nobody; it reads, and writes when it can."""
    path = tmp_path / "store.db"
    await asyncio.to_thread(upgrade, path, tables.METADATA, tables.VERSIONS)
    database = SqliteDatabase(path, tables.METADATA, versions=tables.VERSIONS, busy_timeout_s=0.1)
    with held(path):
        await database.open()
        await database.check()
        with pytest.raises(ServiceError, match="locked by somebody else"):
            await database.write(lambda connection: connection.execute(sa.text("DELETE FROM worker")))
    await database.write(lambda connection: connection.execute(sa.text("DELETE FROM worker")))
    await database.close()


async def test_tables_are_not_made_while_another_process_holds_the_file(tmp_path: Path):
    """G1: that is said in one line, and the file is given back."""
    path = tmp_path / "x.db"
    await _filled(path)
    database = SqliteDatabase(path, METADATA, busy_timeout_s=0.1)
    with held(path), pytest.raises(DatabaseRefused, match="locked by somebody else"):
        await database.open()
    await database.open()
    await database.close()


async def _filled(path: Path) -> None:
    database = SqliteDatabase(path, METADATA)
    await database.open()
    for n in range(20):
        await database.write(insert(f"{n:02}" + "x" * 1000))
    await database.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def test_a_damaged_page(tmp_path: Path):
    """G12: whichever page after the first is overwritten, the file is refused at the start, with the way out."""
    path = tmp_path / "x.db"
    await _filled(path)
    whole = path.read_bytes()
    assert len(whole) > 10 * PAGE
    for at in range(PAGE, len(whole), PAGE):
        path.write_bytes(whole[:at] + b"\xff" * PAGE + whole[at + PAGE :])
        with pytest.raises(DatabaseRefused, match="damaged"):
            await SqliteDatabase(path, METADATA).open()
    path.write_bytes(whole)
    again = SqliteDatabase(path, METADATA)
    await again.open()
    assert len(await again.read(names)) == 20
    await again.close()


async def test_a_large_file_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """G12: looking for damage has a bound, so that a service with a large file starts all the same."""
    path = tmp_path / "x.db"
    await _filled(path)
    monkeypatch.setattr(sqlite, "LOOK_STEPS", 1)
    clock = Passing()
    engine = sqlite.open_engine(path, busy_timeout_s=1)
    with engine.connect() as connection:
        sqlite.require_sound(connection, path, clock=clock)  # type: ignore[arg-type]  # only monotonic is asked
        assert connection.execute(sa.text("SELECT count(*) FROM effect")).scalar() == 20
    assert clock.monotonic() <= 5
    engine.dispose()
