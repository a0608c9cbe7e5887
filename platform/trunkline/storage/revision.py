"""Which migration a database has seen, and which it needs. Read at every start, so it loads no Alembic."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from trunkline.storage.errors import DatabaseRefused

VERSION_TABLE = "alembic_version"
"""Where Alembic notes the last migration."""

_SCRIPT = re.compile(r"(?P<revision>\d{4})_[a-z0-9_]+\.py")
_versions = sa.table(VERSION_TABLE, sa.column("version_num", sa.Text))
FLOOR_TABLE = "schema_floor"
"""Where `trunkline migrate` notes which older releases may go on working."""
_floor = sa.table(FLOOR_TABLE, sa.column("revision", sa.Text), sa.column("oldest", sa.Text))


def head(versions_dir: Path) -> str:
    """The last migration of a folder of scripts named like `0001_first.py`; empty if it has none.

    Raises:
        ValueError: two scripts have one number.
    """
    names = (found["revision"] for path in versions_dir.iterdir() if (found := _SCRIPT.fullmatch(path.name)))
    revisions = sorted(names)
    if len(set(revisions)) != len(revisions):
        msg = f"two migrations in {versions_dir} have one number"
        raise ValueError(msg)
    return revisions[-1] if revisions else ""


def current(connection: sa.Connection) -> str:
    """The last migration a database has seen; empty if none."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return ""
    return connection.scalar(sa.select(_versions.c.version_num)) or ""


def require_file(versions_dir: Path, path: Path) -> None:
    """Lets only a file through that is there, if there are migrations at all.

    Raises:
        DatabaseRefused: it is not.
    """
    needed = head(versions_dir)
    if needed and not path.exists():
        raise DatabaseRefused(
            f"{path} (there is no such file) is at migration none, and this release needs {needed}: "
            "run `trunkline migrate`"
        )


def suits_older(connection: sa.Connection, known: str) -> bool:
    """Whether a release may work on a newer database: known is the last migration that it has."""
    if not known or not sa.inspect(connection).has_table(FLOOR_TABLE):
        return False
    # Whoever migrated past it without a note has said nothing.
    oldest = connection.scalar(sa.select(_floor.c.oldest).where(_floor.c.revision == current(connection)))
    return oldest is not None and known >= oldest


def note_floor(connection: sa.Connection, revision: str, oldest: str) -> None:
    """Notes which older releases may work on the database as it is now.

    Args:
        connection: In the transaction that migrates.
        revision: What the database is at.
        oldest: The last migration that the oldest of those releases has.
    """
    # By its name alone: it is no table of the service, and no migration makes it.
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {FLOOR_TABLE} (revision TEXT NOT NULL, oldest TEXT NOT NULL)"
    )
    connection.execute(sa.delete(_floor))
    connection.execute(sa.insert(_floor).values(revision=revision, oldest=oldest))


def require(connection: sa.Connection, versions_dir: Path, path: Path | str) -> None:
    """Lets only a database through that has seen exactly the migrations of versions_dir, or later ones that suit it.

    Raises:
        DatabaseRefused: it has not; the text names the command that helps.
    """
    found, needed = current(connection), head(versions_dir)
    if found > needed and not suits_older(connection, needed):
        raise DatabaseRefused(
            f"{path} is at migration {found}, and this release knows {needed or 'none'}: run the newer release"
        )
    if found < needed:
        raise DatabaseRefused(
            f"{path} is at migration {found or 'none'}, and this release needs {needed}: run `trunkline migrate`"
        )
