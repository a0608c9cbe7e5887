"""`trunkline migrate`."""

from __future__ import annotations

import sqlite3

import pytest

TABLES = '''
"""Tables."""
import sqlalchemy as sa

METADATA = sa.MetaData()
'''
FIRST = '''
"""First."""
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    """Applies it."""
    op.create_table("shelf", sa.Column("name", sa.Text, primary_key=True))
'''


@pytest.fixture
def library_package(tmp_path):
    """A package `library` with one table and one migration; gives the folder it stands in."""
    versions = tmp_path / "library" / "storage" / "versions"
    versions.mkdir(parents=True)
    for folder in (versions, versions.parent, versions.parent.parent):
        (folder / "__init__.py").touch()
    (versions.parent / "tables.py").write_text(TABLES)
    (versions / "0001_first.py").write_text(FIRST)
    return tmp_path


async def test_makes_and_migrates_a_database(run_trunkline, library_package):
    """A database that is not there is made with all tables; a second run changes nothing."""
    database = library_package / "data" / "library.db"
    for _ in range(2):
        outcome = await run_trunkline("migrate", "library", str(database), cwd=library_package)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out == f"{database} is at migration 0001\n"
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM shelf").fetchone() == (0,)
    connection.close()


async def test_refuses_what_is_no_service(run_trunkline, tmp_path):
    """A package without tables is named in one line."""
    outcome = await run_trunkline("migrate", "nothing.here", str(tmp_path / "x.db"), cwd=tmp_path)
    assert outcome.status == 2
    assert outcome.err == "trunkline: nothing.here is no service with tables: there is no module nothing\n"
