"""A database by where it is: a file, or a server."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from trunkline.storage.database import Database
from trunkline.storage.sqlite_database import SqliteDatabase

LOCK_WAIT_S = 15.0
"""Seconds a service waits for a migration of its file that runs while it starts."""


def database_at(place: Path | str, metadata: sa.MetaData, versions: Path | None) -> Database:
    """The database of a file, or of an address of PostgreSQL.

    Args:
        place: A file; or `postgresql://…`, as text.
        metadata: The tables of the service.
        versions: Folder of its migrations; None: tables that are missing are made.
    """
    if isinstance(place, str):
        # Not everybody has its driver.
        from trunkline.storage.postgres import PostgresDatabase

        return PostgresDatabase(place, metadata, versions=versions)
    place.parent.mkdir(parents=True, exist_ok=True)
    return SqliteDatabase(place, metadata, versions=versions, lock_wait_s=LOCK_WAIT_S)
