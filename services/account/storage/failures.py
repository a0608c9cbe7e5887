"""Wrong passwords in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from services.account.domain.lockout import NO_FAILURES, Failures
from services.account.storage.tables import SIGN_IN_FAILURE

NOBODY = ("", "")
"""Whose failures are those of unknown users: they are written too, so that a refusal takes as long for them."""


def of(connection: sa.Connection, tenant_id: str, user_name: str) -> Failures:
    """A user's failures that count."""
    row = connection.execute(sa.select(SIGN_IN_FAILURE).where(*_key(tenant_id, user_name))).one_or_none()
    if row is None:
        return NO_FAILURES
    return Failures(tuple(map(datetime.fromisoformat, row.times)), row.lock_end_time)


def locks(connection: sa.Connection, tenant_id: str, names: list[str]) -> dict[str, datetime]:
    """Until when users are, or were, locked, by name."""
    columns = (SIGN_IN_FAILURE.c.user_name, SIGN_IN_FAILURE.c.lock_end_time)
    where = (SIGN_IN_FAILURE.c.tenant_id == tenant_id, SIGN_IN_FAILURE.c.user_name.in_(names))
    rows = connection.execute(sa.select(*columns).where(*where, SIGN_IN_FAILURE.c.lock_end_time.is_not(None)))
    return {row.user_name: row.lock_end_time for row in rows}


def write(connection: sa.Connection, tenant_id: str, user_name: str, failures: Failures, now: datetime) -> None:
    """Writes them in place of what was there."""
    forget(connection, tenant_id, user_name)
    values = {"times": [time.isoformat() for time in failures.times], "lock_end_time": failures.lock_end_time}
    row = {"tenant_id": tenant_id, "user_name": user_name, "last_time": now, **values}
    connection.execute(sa.insert(SIGN_IN_FAILURE).values(row))


def forget(connection: sa.Connection, tenant_id: str, user_name: str) -> None:
    """Nothing counts any more, and no lock holds."""
    connection.execute(sa.delete(SIGN_IN_FAILURE).where(*_key(tenant_id, user_name)))


def _key(tenant_id: str, user_name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return SIGN_IN_FAILURE.c.tenant_id == tenant_id, SIGN_IN_FAILURE.c.user_name == user_name
