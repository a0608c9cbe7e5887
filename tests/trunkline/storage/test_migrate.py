"""Migrations: a step of their own, whole or not at all, and a service starts only after them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from trunkline.storage import DatabaseRefused, Instant, SqliteDatabase, new_metadata, platform_tables
from trunkline.storage.autogenerate import autogenerate, differences, unsuitable
from trunkline.storage.lock import FileLock
from trunkline.storage.migrate import floor_of, upgrade
from trunkline.storage.revision import current, head

from tests.trunkline.storage.bench import METADATA, insert, names

ROOT = Path(__file__).parents[3]
BROKEN = '''"""Adds a table, then fails."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("half", sa.Column("id", sa.Integer, primary_key=True))
    raise LookupError("as asked")
'''
COPIES = '''"""Copies a table that others point at, as SQLite must to alter it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("INSERT INTO counter VALUES ('t', 1)")
    op.execute("INSERT INTO child VALUES ('t', 't')")
    with op.batch_alter_table("counter") as table:
        table.alter_column("value", type_=sa.Numeric(), existing_type=sa.BigInteger(), existing_nullable=False)
'''


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrations of the bench, as a developer makes them."""
    versions = tmp_path_factory.mktemp("bench") / "versions"
    assert autogenerate(METADATA, versions, "first tables") == versions / "0001_first_tables.py"
    return versions


@pytest.fixture
def versions(first: Path, tmp_path: Path) -> Path:
    """A copy that a test may add to."""
    copy = tmp_path / "versions"
    copy.mkdir()
    for path in first.glob("*.py"):
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def tables(path: Path) -> set[str]:
    """Names of the tables in a file."""
    connection = sqlite3.connect(path)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    finally:
        connection.close()


def test_migrations_make_what_the_tables_say(first: Path):
    """A database made by the written migrations is the one the MetaData describes, down to indexes and constraints."""
    assert differences(METADATA, first) == []
    assert autogenerate(METADATA, first, "nothing") is None


def test_written_migration_is_clean(first: Path):
    """What autogenerate writes passes linter and formatter as it is, and says explicitly what it creates."""
    config = str(ROOT / "pyproject.toml")
    for step in (["ruff", "check", "--config", config], ["ruff", "format", "--check", "--line-length=120"]):
        subprocess.run([sys.executable, "-m", *step, str(first)], check=True)
    text = (first / "0001_first_tables.py").read_text()
    assert 'op.create_table(\n        "outbox",' in text
    assert "create_all" not in text


def test_forgotten_change_is_found(first: Path):
    """A table, column, index or check that no migration makes is a difference."""
    metadata = new_metadata()
    for table in METADATA.tables.values():
        if table.name != "effect":
            table.to_metadata(metadata)
    sa.Table(
        "effect",
        metadata,
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, sa.CheckConstraint("name <> ''", name="named"), primary_key=True),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("at", Instant, index=True),
    )
    found = differences(metadata, first)
    assert len(found) == 3
    assert all(line.startswith("only in the tables: effect: ") for line in found)
    assert [line.split(": ")[2].split()[0] for line in found] == ["check", "column", "index"]


def test_change_becomes_the_next_migration(versions: Path):
    """A new table makes the migration 0002 after 0001, and then nothing differs."""
    metadata = new_metadata()
    for table in METADATA.tables.values():
        table.to_metadata(metadata)
    sa.Table("more", metadata, sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("at", Instant))
    assert autogenerate(metadata, versions, "More, later!") == versions / "0002_more_later.py"
    assert head(versions) == "0002"
    assert differences(metadata, versions) == []


async def test_service_starts_after_the_migration_only(versions: Path, tmp_path: Path):
    """A database behind its scripts is refused in one line that names the command; after it, it opens and works."""
    file = tmp_path / "deep" / "bench.db"
    with pytest.raises(DatabaseRefused, match=r"is at migration none, .* needs 0001: run `trunkline migrate`"):
        await SqliteDatabase(file, METADATA, versions=versions).open()
    assert upgrade(file, METADATA, versions) == "0001"
    assert upgrade(file, METADATA, versions) == "0001"
    database = SqliteDatabase(file, METADATA, versions=versions)
    await database.open()
    assert await database.read(current) == "0001"
    await database.write(insert("one"))
    assert upgrade(file, METADATA, versions) == "0001"  # there is nothing to do
    (versions / "0002_copies.py").write_text(COPIES)
    with pytest.raises(DatabaseRefused, match="in use"):
        upgrade(file, METADATA, versions)
    await database.close()
    assert upgrade(file, METADATA, versions) == "0002"


async def test_database_of_a_newer_release_is_refused(versions: Path, tmp_path: Path):
    """An old program leaves a newer database alone."""
    file = tmp_path / "bench.db"
    upgrade(file, METADATA, versions)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '0009'")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseRefused, match="at migration 0009, and this release knows 0001"):
        await SqliteDatabase(file, METADATA, versions=versions).open()
    with pytest.raises(DatabaseRefused, match="at migration 0009"):
        upgrade(file, METADATA, versions)


async def test_migration_that_fails_leaves_nothing(versions: Path, tmp_path: Path):
    """A migration that fails in the middle is undone with its tables, and the database serves as before."""
    file = tmp_path / "bench.db"
    upgrade(file, METADATA, versions)
    before = tables(file)
    (versions / "0002_broken.py").write_text(BROKEN)
    with pytest.raises(LookupError):
        upgrade(file, METADATA, versions)
    assert tables(file) == before
    (versions / "0002_broken.py").unlink()
    database = SqliteDatabase(file, METADATA, versions=versions)
    await database.open()
    assert await database.read(names) == []
    await database.close()


def test_table_that_others_point_at_can_be_copied(versions: Path, tmp_path: Path):
    """Altering a table by a copy, as SQLite does it, keeps the rows that point at it."""
    (versions / "0002_copies.py").write_text(COPIES)
    upgrade(tmp_path / "bench.db", METADATA, versions)
    connection = sqlite3.connect(tmp_path / "bench.db")
    assert connection.execute("SELECT count(*) FROM child").fetchone() == (1,)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_failed_migration_gives_the_lock_back(versions: Path, tmp_path: Path):
    """Whatever an upgrade ends with, the file is free after it."""
    (versions / "0002_broken.py").write_text(BROKEN)
    with pytest.raises(LookupError):
        upgrade(tmp_path / "bench.db", METADATA, versions)
    lock = FileLock(tmp_path / "bench.db")
    assert lock.take()
    lock.release()


def test_head_is_read_from_the_names(tmp_path: Path):
    """The head is the highest number of the scripts; other files do not count, and a number given twice is refused."""
    assert head(tmp_path) == ""
    for name in ("0001_first.py", "0002_second.py", "__init__.py", "0003-no.py", "notes.txt"):
        (tmp_path / name).touch()
    assert head(tmp_path) == "0002"
    (tmp_path / "0002_again.py").touch()
    with pytest.raises(ValueError, match="one number"):
        head(tmp_path)


def test_service_loads_no_migration_tool():
    """Opening a database imports no Alembic: a serving process has no use for it."""
    code = "import sys, trunkline.storage; sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_platform_tables_are_in_every_service(first: Path):
    """The library's tables travel in the service's own migrations."""
    metadata = new_metadata()
    platform_tables(metadata)
    text = (first / "0001_first_tables.py").read_text()
    assert all(f'"{name}"' in text for name in metadata.tables)


def add(versions: Path, revision: str, body: str, *, oldest: str = "") -> Path:
    """Adds a migration."""
    path = versions / f"{revision}_more.py"
    line = f'oldest_release = "{oldest}"\n' if oldest else ""
    path.write_text(
        f'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{revision}"\n'
        f'down_revision = "{int(revision) - 1:04}"\n{line}\n\ndef upgrade():\n    {body}\n'
    )
    return path


ADDS = 'op.add_column("effect", sa.Column("more", sa.Text))'
CREATES = 'op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))'


def test_the_oldest_release_is_one_that_suits_all_that_it_does_not_know(versions: Path):
    """A migration that says nothing suits nobody older; one that does suits as far back as all since do."""
    assert floor_of(versions) == "0001"
    add(versions, "0002", ADDS)
    assert floor_of(versions) == "0002"
    add(versions, "0003", "pass", oldest="0002")
    assert floor_of(versions) == "0002"
    add(versions, "0004", "pass", oldest="0001")
    assert floor_of(versions) == "0002"
    add(versions, "0002", ADDS, oldest="0001")
    assert floor_of(versions) == "0002"
    add(versions, "0003", "pass", oldest="0001")
    assert floor_of(versions) == "0001"
    add(versions, "0005", "pass")
    assert floor_of(versions) == "0005"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (ADDS, ""),
        (CREATES, ""),
        ('op.create_index("ix_effect_note", "effect", ["note"])', ""),
        ('op.add_column("effect", sa.Column("more", sa.Text, nullable=False, server_default="x"))', ""),
        ('op.create_index("ix_effect_note", "effect", ["note"], unique=True)', "effect: index"),
        ('op.drop_table("effect")', "table effect"),
        ('with op.batch_alter_table("effect") as table:\n        table.drop_column("note")', "effect: column"),
    ],
)
def test_what_older_releases_would_run_into_is_found(versions: Path, body: str, told: str):
    """Only additions that may be left out suit a release that does not know them."""
    add(versions, "0002", body, oldest="0001")
    found = unsuitable(METADATA, versions)
    assert any(told in one for one in found) if told else found == []
    (versions / "0002_more.py").write_text((versions / "0002_more.py").read_text().replace("oldest_release", "other"))
    assert unsuitable(METADATA, versions) == []


async def test_an_older_release_may_start_where_the_newer_one_says_so(versions: Path, first: Path, tmp_path: Path):
    """It opens, works, and has nothing to migrate; after a migration that does not suit it, it is refused."""
    file = tmp_path / "bench.db"
    add(versions, "0002", ADDS, oldest="0001")
    assert upgrade(file, METADATA, versions) == "0002"
    assert upgrade(file, METADATA, first) == "0002"
    older = SqliteDatabase(file, METADATA, versions=first)
    await older.open()
    await older.write(insert("one"))
    assert upgrade(file, METADATA, first) == "0002"  # while it serves, too
    await older.close()
    add(versions, "0003", CREATES)
    assert upgrade(file, METADATA, versions) == "0003"
    for refused in (SqliteDatabase(file, METADATA, versions=first).open, partial(_upgraded, file, first)):
        with pytest.raises(DatabaseRefused, match="at migration 0003, and this release knows 0001"):
            await refused()


async def _upgraded(file: Path, versions: Path) -> None:
    upgrade(file, METADATA, versions)
