"""A full disk: nothing half done is kept, reads go on, and writes do again once there is room."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.storage import SqliteDatabase, Transaction, UnitOfWork

from tests.trunkline.storage.bench import EFFECT, METADATA, PLATFORM, SOURCE, add, adding, call, held, names, numbers

BIG = "x" * 200_000


@dataclass(frozen=True)
class SmallDisk:
    """A database that can be put out of room, and given room again."""

    database: SqliteDatabase
    fill: Callable[[], Awaitable[None]]
    free: Callable[[], Awaitable[None]]


@pytest.fixture(params=["page limit", "tmpfs"])
async def disk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SmallDisk]:
    """SQLite's own limit of pages, which every machine has; and a small file system, where it may be mounted."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = request.param == "tmpfs"
    if mounted and not _mount(directory):
        pytest.skip("this user may not mount a tmpfs")
    database = SqliteDatabase(directory / "bench.db", METADATA)
    try:
        await database.open()
        yield _with_filler(database, directory) if mounted else _with_page_limit(database)
        await database.close()
    finally:
        if mounted:
            _unmount(directory)


def _mount(directory: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(directory)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _unmount(directory: Path) -> None:
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _with_filler(database: SqliteDatabase, directory: Path) -> SmallDisk:
    filler = directory / "filler"

    async def fill() -> None:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass

    async def free() -> None:
        filler.unlink()

    return SmallDisk(database, fill, free)


def _with_page_limit(database: SqliteDatabase) -> SmallDisk:
    async def limit(pages: int) -> None:
        await database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}").all())

    async def fill() -> None:
        # Never less than what is used: the file may not grow from here on.
        await limit(1)

    async def free() -> None:
        await limit(1_000_000)

    return SmallDisk(database, fill, free)


def insert_big(connection: sa.Connection) -> None:
    """Needs more room than is left."""
    connection.execute(sa.insert(EFFECT).values(tenant_id="t", name="big", note=BIG))


def grow(transaction: Transaction) -> pb.AddResponse:
    """A whole unit, with something big in the middle."""
    insert_big(transaction.connection)
    return add(transaction, "grown")


@pytest.fixture
def unit(disk: SmallDisk, tmp_path: Path) -> UnitOfWork:
    """A unit of work on the small disk; its secret lies elsewhere."""
    return UnitOfWork(disk.database, PLATFORM, source=SOURCE, secret_file=tmp_path / "secret")


async def test_full_disk_is_told_and_keeps_nothing(disk: SmallDisk, unit: UnitOfWork):
    """G2: A unit without room: RESOURCE_EXHAUSTED / STORAGE_UNAVAILABLE, nothing kept, reads go on, then it works."""
    with call("before", answers=unit.answers):
        await unit.run(adding("before"))
    await disk.fill()
    with call("k", answers=unit.answers), pytest.raises(ServiceError) as full:
        await unit.run(grow)
    assert (full.value.code, full.value.reason, full.value.domain) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "STORAGE_UNAVAILABLE",
        "trunk",
    )
    assert await disk.database.read(names) == ["before"]
    await disk.database.check()
    await disk.free()
    with call("k", answers=unit.answers):
        assert await unit.run(grow) == pb.AddResponse(value=2)
    assert await disk.database.read(names) == ["before", "big", "grown"]
    assert await disk.database.read(numbers) == [1, 2]
    assert _integrity(disk.database.path) == "ok"


async def test_batch_on_a_full_disk_is_whole_or_not_at_all(disk: SmallDisk, unit: UnitOfWork):
    """Of a batch in which one unit finds no room, what was answered is there once, with its event; the rest is not."""
    await unit.run(adding("first"))
    await disk.fill()

    async def one(name: str) -> str:
        with call(name, answers=unit.answers):
            await unit.run(grow if name == "big" else adding(name))
        return name

    async with held(disk.database):
        tasks = [asyncio.create_task(one(name)) for name in ("a", "b", "big", "c", "d")]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    answered = {outcome for outcome in outcomes if isinstance(outcome, str)}
    refused = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    assert "big" not in answered
    assert disk.database.counts.lost == 1
    assert all(isinstance(error, ServiceError) and error.reason == "STORAGE_UNAVAILABLE" for error in refused)
    assert set(await disk.database.read(names)) == {"first", *answered}
    assert await disk.database.read(numbers) == list(range(1, len(answered) + 2))
    await disk.free()
    assert [await one(name) for name in ("a", "b", "c", "d")] == ["a", "b", "c", "d"]
    assert set(await disk.database.read(names)) == {"first", "a", "b", "c", "d"}
    assert await disk.database.read(numbers) == [1, 2, 3, 4, 5]
    assert _integrity(disk.database.path) == "ok"


async def test_work_that_swallows_the_failure_keeps_nothing(database: SqliteDatabase):
    """SQLite goes on in autocommit after it rolled back: what work does then is refused, and the caller hears of it."""
    await _with_page_limit(database).fill()

    def swallow(connection: sa.Connection) -> str:
        connection.execute(sa.insert(EFFECT).values(tenant_id="t", name="lost"))
        with pytest.raises(sa.exc.OperationalError, match="full"):
            insert_big(connection)
        connection.execute(sa.insert(EFFECT).values(tenant_id="t", name="alone"))
        return "never"

    with pytest.raises(ServiceError, match="STORAGE_UNAVAILABLE"):
        await database.write(swallow)
    assert await database.read(names) == []


def _integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        found: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
        return found
    finally:
        connection.close()
