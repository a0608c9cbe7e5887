"""Migrations: run as a step of their own, before the service starts, all of them in one transaction."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from trunkline.redaction import redacted
from trunkline.storage import sqlite
from trunkline.storage.errors import DatabaseRefused
from trunkline.storage.lock import FileLock
from trunkline.storage.revision import current, head, note_floor, suits_older

__all__ = ["current", "head", "upgrade", "upgrade_postgres"]

BUSY_TIMEOUT_S = 5.0
"""How long a migration waits for a lock on the file."""
LOCK_S = 1
"""Seconds that a migration waits for a table on a server."""


def upgrade(database_path: Path, metadata: sa.MetaData, versions_dir: Path) -> str:
    """Brings a database to the head of versions_dir, and makes it if it is not there. Gives what it is at then.

    Nothing is kept of an upgrade that fails. A database that is at the head already is left alone.

    Raises:
        DatabaseRefused: a process uses the database, which is not at the head, or it is newer than these scripts.
    """
    lock = FileLock(database_path)
    if not lock.take():
        if database_path.exists() and (found := _well_as_it_is(database_path, versions_dir)):
            return found  # a process of this release, or of one that suits it, serves: there is nothing to do
        raise lock.refusal()
    try:
        sqlite.create_file(database_path)
        engine = sqlite.open_engine(database_path, busy_timeout_s=BUSY_TIMEOUT_S)
        with engine.connect() as connection:
            return _upgrade(connection, metadata, versions_dir, database_path)
    finally:
        lock.release()


def upgrade_postgres(url: str, metadata: sa.MetaData, versions_dir: Path) -> str:
    """Brings a database on a server to the head of versions_dir. Gives what it is at then.

    Processes may use it meanwhile. Tables that are changed are locked for that time, and waited for LOCK_S at most;
    nothing is kept where it fails.

    Raises:
        DatabaseRefused: it is newer than these scripts, or cannot be reached.
    """
    from trunkline.storage import postgres_engine
    from trunkline.storage.postgres_errors import reason

    # To fill a column of a large table takes as long as it takes.
    engine = postgres_engine.open_engine(url, statement_s=0, patience=postgres_engine.Patience(math.inf))
    try:
        with postgres_engine.setting_up(engine) as connection:
            # Whoever wants a table queues behind one that waits to change it.
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
            return _bring(connection, metadata, versions_dir, redacted(url))
    except sa.exc.OperationalError as error:
        raise DatabaseRefused(f"{redacted(url)} cannot be migrated: {reason(error)}") from error
    finally:
        engine.dispose()


def _well_as_it_is(path: Path, versions_dir: Path) -> str:
    """What a database is at where this release may work on it; else nothing."""
    engine = sqlite.open_engine(path, busy_timeout_s=BUSY_TIMEOUT_S, read_only=True)
    with engine.connect() as connection:
        found, needed = current(connection), head(versions_dir)
        return found if found == needed or (found > needed and suits_older(connection, needed)) else ""


def _upgrade(connection: sa.Connection, metadata: sa.MetaData, versions_dir: Path, path: Path) -> str:
    # Copying a table, which is how SQLite alters one, must not delete what points at it.
    with sqlite.without_foreign_keys(connection), connection.begin():
        sqlite.begin(connection)
        before = current(connection)
        needed = _bring(connection, metadata, versions_dir, path)
        if before < needed:
            sqlite.check_foreign_keys(connection)
        return needed


def _bring(connection: sa.Connection, metadata: sa.MetaData, versions_dir: Path, name: Path | str) -> str:
    found, needed = current(connection), head(versions_dir)
    if found > needed and suits_older(connection, needed):
        return found
    if found > needed:
        raise DatabaseRefused(f"{name} is at migration {found}, and this release knows {needed or 'none'}")
    if found < needed:
        _run(connection, metadata, versions_dir)
    return needed


def _run(connection: sa.Connection, metadata: sa.MetaData, versions_dir: Path) -> None:
    script = ScriptDirectory(str(versions_dir), version_locations=[str(versions_dir)])

    def steps(revision: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection, target_metadata=metadata, render_as_batch=True)
        environment.run_migrations()
    note_floor(connection, head(versions_dir), floor_of(versions_dir))


def floor_of(versions_dir: Path) -> str:
    """The oldest release, by the last migration it has, that may work on a database at the head of versions_dir.

    That is one that suits every migration it does not have. Which releases a migration suits it says by
    `oldest_release`; where it says nothing, it suits none that does not have it.
    """
    script = ScriptDirectory(str(versions_dir), version_locations=[str(versions_dir)])
    floor, wanted = head(versions_dir), ""
    for one in script.walk_revisions():
        wanted = max(wanted, getattr(one.module, "oldest_release", one.revision))
        before = str(one.down_revision or "")
        if not before or before < wanted:
            return floor
        floor = before
    return floor
