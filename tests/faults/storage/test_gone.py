"""A database file that is taken away, replaced, or may not be written any more, while it is in use."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from pos.item.v1 import category_service_pb2 as pb
from pos.item.v1 import category_service_pb2_grpc as pb_grpc
from pos.item.v1.category_pb2 import Category
from trunkline.errors import ServiceError
from trunkline.storage import DatabaseRefused, SqliteDatabase
from trunkline.testing.local import LocalSystem

from services.item import app
from services.item.settings import ItemSettings
from services.item.storage.tables import METADATA as ITEM
from services.item.storage.tables import VERSIONS
from tests.docs.blocks import ROOT
from tests.faults.storage.unwritable import NOBODY
from tests.services.callers import admin
from tests.shop.waiting import until
from tests.trunkline.storage.bench import METADATA, insert, names

BACK_S = 8.0
"""Seconds within which all is as before: callers look again once a second, on a machine with others."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a user without rights can reach, and has."""
    made = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    if os.getuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    yield made
    made.chmod(0o700)
    shutil.rmtree(made)


def test_the_folder_becomes_read_only(folder: Path):
    """G4: who has the file open goes on and loses nothing; who opens it is told in one line; then all is well."""
    command = [sys.executable, "-m", "tests.faults.storage.unwritable", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    went = json.loads(done.stdout)
    refusals = {step: went.pop(step) for step in list(went) if step.startswith("open")}
    assert went == {
        "write": "meanwhile",
        "read": ["before", "meanwhile"],
        "check": None,
        "afterwards": ["after", "before", "meanwhile"],
    }
    file = folder / "x.db"
    assert refusals == {
        "open": f"{file} cannot be opened: the database file cannot be written",
        "open a file that may not be written": f"{file} cannot be opened: [Errno 13] Permission denied: '{file}'",
    }


async def test_the_file_comes_and_goes(tmp_path: Path):
    """G4: what was answered as kept is there when the file is back; while it is away nobody is told that."""
    database, dice = SqliteDatabase(tmp_path / "x.db", METADATA), random.Random(1)
    await database.open()
    kept, told, stop = set[str](), dict[str, str](), asyncio.Event()

    async def write(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"{worker}-{number}"
            try:
                await database.write(insert(name))
                kept.add(name)
            except ServiceError as error:
                told[name] = error.reason
                await asyncio.sleep(0.001)

    workers = [asyncio.create_task(write(worker)) for worker in range(8)]
    away = tmp_path / "away.db"
    os.link(database.path, away)
    for _ in range(20):
        had = len(kept)
        await until(lambda had=had: len(kept) > had, "writes go on", BACK_S)  # type: ignore[misc]
        await asyncio.sleep(dice.uniform(0, 0.01))
        database.path.unlink()
        had = len(told)
        await until(lambda had=had: len(told) > had + 8, "writes are refused", BACK_S)  # type: ignore[misc]
        os.link(away, database.path)
    stop.set()
    await asyncio.gather(*workers)
    found = set(await database.read(names))
    assert kept - found == set()
    # One whose file was taken away between commit and answer was not told that it was kept.
    assert found - kept <= told.keys()
    assert set(told.values()) == {"STORAGE_UNAVAILABLE"}
    await database.close()


async def test_another_file_takes_its_place(tmp_path: Path):
    """G4: neither file is written any more; with the log moved away, as documented, each has its own."""
    other, path = tmp_path / "other.db", tmp_path / "x.db"
    for file, name in ((other, "of the backup"), (path, "of today")):
        database = SqliteDatabase(file, METADATA)
        await database.open()
        await database.write(insert(name))
        await database.close()
    database = SqliteDatabase(path, METADATA)
    await database.open()
    await database.write(insert("more"))
    os.link(path, tmp_path / "old.db")
    backup = other.read_bytes()
    other.replace(path)
    for attempt in (database.write(insert("lost")), database.check()):
        with pytest.raises(ServiceError, match="the database file was removed or replaced: put it back"):
            await attempt
    await database.close()
    assert path.read_bytes() == backup
    (tmp_path / "x.db-wal").rename(tmp_path / "old.db-wal")
    for file, expected in ((path, ["of the backup"]), (tmp_path / "old.db", ["more", "of today"])):
        again = SqliteDatabase(file, METADATA)
        await again.open()
        assert await again.read(names) == expected
        await again.close()


async def test_the_log_is_removed(tmp_path: Path):
    """G4: the write-ahead log alone is taken away: no write is answered, and after a restart all that was is there."""
    database = SqliteDatabase(tmp_path / "x.db", METADATA)
    await database.open()
    await database.write(insert("one"))
    (tmp_path / "x.db-wal").unlink()
    for attempt in (database.write(insert("two")), database.check()):
        with pytest.raises(ServiceError, match="the log of the database file was removed: restart the service"):
            await attempt
    await database.close()
    again = SqliteDatabase(tmp_path / "x.db", METADATA)
    await again.open()
    assert await again.read(names) == ["one"]
    await again.close()


async def test_no_second_file_is_made_beside_a_lost_one(tmp_path: Path):
    """G4: a process that starts while another has lost its file is refused, and leaves nothing that looks like it."""
    with pytest.raises(DatabaseRefused, match="there is no such file"):
        await SqliteDatabase(tmp_path / "x.db", ITEM, versions=VERSIONS).open()
    assert not (tmp_path / "x.db").exists()


async def test_a_service_loses_its_file(tmp_path: Path):
    """G4: a change is UNAVAILABLE and says why, and is not repeated in vain; with the file back it is made."""
    async with LocalSystem(tmp_path) as system:
        node = await system.start("item", app.build, ItemSettings())
        stub = pb_grpc.CategoryServiceStub(admin(system).channel("item"))

        async def create(code: str) -> bool:
            category = Category(category_code=code, description="Food")
            try:
                await stub.CreateCategory(pb.CreateCategoryRequest(category=category))
            except ServiceError as error:
                refusals.append(error)
            return not refusals

        refusals: list[ServiceError] = []
        assert await create("a")
        away = tmp_path / "away.db"
        os.link(node.database_file, away)
        node.database_file.unlink()
        assert not await create("b")
        (refusal,) = refusals
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
        assert refusal.message == "the database file was removed or replaced: put it back"
        os.link(away, node.database_file)

        async def created() -> bool:
            refusals.clear()
            return await create("b")

        await until(created, "the category is made", BACK_S)
        answer = await stub.ListCategories(pb.ListCategoriesRequest())
        assert [one.category_code for one in answer.categories] == ["a", "b"]


def test_no_write_succeeds(tmp_path: Path):
    """G4: the file cannot be written, as on a disk that became read-only: UNAVAILABLE, nothing kept, reads go on; and
    health tells of it from the first write that failed until one succeeds, which it tries itself.
    """
    command = [sys.executable, "-m", "tests.faults.storage.failing_writes", str(tmp_path / "x.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    refusal = "UNAVAILABLE trunk/STORAGE_UNAVAILABLE: the database file cannot be read or written"
    assert json.loads(done.stdout) == {
        "healthy before": None,
        "healthy, for nobody has tried": None,
        "write": refusal,
        "health": refusal,
        "health again": refusal,
        "read": ["before"],
        "healthy after": None,
        "write after": "after",
        "afterwards": ["after", "before"],
    }
