"""`trunkline events rebuild` where it cannot do what was asked: one line that says why, and nothing is left behind."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from trunkline.storage.migrate import upgrade

from deploy.local.settings import ROOT
from services.journal.storage.tables import METADATA, VERSIONS


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The database of a journal, migrated and empty."""
    database = tmp_path / "journal.db"
    upgrade(database, METADATA, VERSIONS)
    return database


async def refused(run_trunkline, *arguments: object) -> str:
    """What is said by a command that cannot."""
    outcome = await run_trunkline("events", "rebuild", *map(str, arguments), cwd=ROOT)
    assert (outcome.status, outcome.out) == (2, "")
    return str(outcome.err).removeprefix("trunkline: ").strip()


async def test_a_service_without_such_tables(run_trunkline, tmp_path):
    """Nothing of item is made by events."""
    said = await refused(run_trunkline, "item", "--database", tmp_path / "item.db")
    assert said == (
        "services.item declares no tables that events make: services.item.storage.tables has no REBUILDABLE"
    )


async def test_no_database(run_trunkline, tmp_path):
    """It is looked for, not made."""
    said = await refused(run_trunkline, "journal", "--database", tmp_path / "x.db")
    assert said == f"there is no database {tmp_path / 'x.db'}: name it with --database, or run `trunkline migrate`"
    assert list(tmp_path.iterdir()) == []


async def test_a_database_of_another_release(run_trunkline, tmp_path):
    """Its tables are not those that the handlers know."""
    (tmp_path / "old.db").touch()
    said = await refused(run_trunkline, "journal", "--database", tmp_path / "old.db")
    assert "is at migration none" in said
    assert "trunkline migrate" in said


async def test_nothing_runs_to_be_asked(run_trunkline, journal: Path):
    """The publishers are found in the running system; a shadow that was begun is gone."""
    said = await refused(run_trunkline, "journal", "--database", journal)
    assert said.startswith("no system runs on ")
    assert not journal.with_name("journal.db.rebuild").exists()


async def test_two_at_once(run_trunkline, journal: Path):
    """The second is refused, and leaves the first one's shadow alone."""
    folder = journal.with_name("journal.db.rebuild")
    folder.mkdir()
    (folder / "shadow.db").touch()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        said = await refused(run_trunkline, "journal", "--database", journal)
    finally:
        os.close(handle)
    assert said == f"{journal} is being rebuilt already"
    assert (folder / "shadow.db").exists()


async def test_no_server(run_trunkline):
    """A database on a server that is not there is told without its password."""
    said = await refused(run_trunkline, "journal", "--database", "postgresql://trunk:secret@127.0.0.1:1/none")
    assert said.startswith("postgresql://trunk:")
    assert "cannot be opened: " in said
    assert "secret" not in said
