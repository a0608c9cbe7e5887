"""Processes of a service share a database file; a migration has it alone."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from trunkline.storage import DatabaseRefused, SqliteDatabase
from trunkline.storage.lock import FileLock

from tests.trunkline.storage.bench import METADATA

HOLD = """
import pathlib, sys
from trunkline.storage.lock import FileLock
print("held" if FileLock(pathlib.Path(sys.argv[1])).take() else "refused", flush=True)
sys.stdin.read()
"""


def hold(file: Path) -> subprocess.Popen[str]:
    """Another process that takes the lock, if it can, and stays until it is ended."""
    command = [sys.executable, "-c", HOLD, str(file)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    """Its next line."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_second_process_is_refused(tmp_path):
    """A file that another process owns is refused in one line that names the process, and is usable once that ends."""
    with hold(tmp_path / "x.db") as owner:
        assert said(owner) == "held"
        database = SqliteDatabase(tmp_path / "x.db", METADATA)
        with pytest.raises(DatabaseRefused) as refused:
            await database.open()
        assert re.fullmatch(r".*x\.db is in use by process \d+: .*", str(refused.value))
        assert str(owner.pid) in str(refused.value)
        assert not (tmp_path / "x.db").exists()
        owner.kill()
    again = SqliteDatabase(tmp_path / "x.db", METADATA)
    await again.open()
    await again.close()


async def test_open_databases_share_the_file_and_keep_a_migration_out(tmp_path):
    """While databases are open, no migration gets the file, and is told by whom; after the last close it may."""
    first, second = SqliteDatabase(tmp_path / "x.db", METADATA), SqliteDatabase(tmp_path / "x.db", METADATA)
    await first.open()
    await second.open()
    with hold(tmp_path / "x.db") as other:
        assert said(other) == "refused"
        other.kill()
    assert f"process {os.getpid()}" in str(FileLock(tmp_path / "x.db").refusal())
    await first.close()
    with hold(tmp_path / "x.db") as other:
        assert said(other) == "refused"
        other.kill()
    await second.close()
    with hold(tmp_path / "x.db") as other:
        assert said(other) == "held"
        other.kill()


async def test_successor_waits_for_the_predecessor(tmp_path):
    """Told to wait, a successor gets the lock as soon as the predecessor lets go."""
    first, second = FileLock(tmp_path / "x.db"), FileLock(tmp_path / "x.db")
    assert first.take()
    waiting = asyncio.create_task(second.acquire(10))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.release()
    await asyncio.wait_for(waiting, 5)
    second.release()


async def test_successor_waits_no_longer_than_told(tmp_path):
    """A predecessor that stays is reported after the time to wait."""
    first = FileLock(tmp_path / "x.db")
    assert first.take()
    with pytest.raises(DatabaseRefused, match="in use"):
        await FileLock(tmp_path / "x.db").acquire(0.1)
    first.release()


async def test_failed_open_gives_the_lock_back(tmp_path):
    """A database that cannot be opened does not stay locked."""
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseRefused, match=r"x\.db"):
        await SqliteDatabase(tmp_path / "x.db", METADATA).open()
    (tmp_path / "x.db").unlink()
    database = SqliteDatabase(tmp_path / "x.db", METADATA)
    await database.open()
    await database.close()


async def test_place_that_cannot_be_used_is_told(tmp_path):
    """Where no file can be made, open says so in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseRefused, match=r"x\.db cannot be opened: .*(exists|directory)"):
        await SqliteDatabase(tmp_path / "file" / "x.db", METADATA).open()


def test_program_that_forgets_close_ends(tmp_path):
    """A program that fails with its database open ends at once, and the file is free."""
    code = """
import asyncio, pathlib, sys, sqlalchemy
from trunkline.storage import SqliteDatabase
async def main():
    await SqliteDatabase(pathlib.Path(sys.argv[1]), sqlalchemy.MetaData()).open()
    raise SystemExit(7)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.db")], check=False, timeout=30)
    assert ended.returncode == 7
    lock = FileLock(tmp_path / "x.db")
    assert lock.take()
    lock.release()
