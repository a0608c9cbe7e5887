"""Users in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from services.account.domain.lockout import NO_FAILURES, Failures
from services.account.domain.user import User, user_missing, user_taken
from services.account.storage import failures
from services.account.storage.tables import TENANT, USER

_FIELDS = [column for column in USER.c if column.name != "password_hash"]


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user with what is needed to sign in."""

    user: User
    """The user, disabled or not."""
    password_hash: str = field(repr=False)
    """Hash of the password."""
    currency_code: str
    """Currency of the tenant."""
    failures: Failures = NO_FAILURES
    """The user's wrong passwords that count."""


def get(connection: sa.Connection, tenant_id: str, user_name: str) -> User:
    """The user; NotFound / USER_NOT_FOUND."""
    row = connection.execute(sa.select(*_FIELDS).where(*_key(tenant_id, user_name))).one_or_none()
    if row is None:
        raise user_missing(user_name)
    return _user(row)


def find_stored(connection: sa.Connection, tenant_id: str, user_name: str) -> StoredUser | None:
    """The user with hash and failures, or None."""
    query = (
        sa.select(*_FIELDS, USER.c.password_hash, TENANT.c.currency_code)
        .select_from(USER.join(TENANT, TENANT.c.tenant_id == USER.c.tenant_id))
        .where(*_key(tenant_id, user_name))
    )
    row = connection.execute(query).one_or_none()
    counted = failures.of(connection, tenant_id, user_name)
    return StoredUser(_user(row), row.password_hash, row.currency_code, counted) if row is not None else None


def page(connection: sa.Connection, tenant_id: str, *, after: str, limit: int) -> list[User]:
    """Users of a tenant by name, after one."""
    query = sa.select(*_FIELDS).where(USER.c.tenant_id == tenant_id, USER.c.user_name > after)
    return [_user(row) for row in connection.execute(query.order_by(USER.c.user_name).limit(limit))]


def add(connection: sa.Connection, user: User, password_hash: str) -> None:
    """Adds a new one; AlreadyExists / USER_EXISTS."""
    found = connection.execute(sa.select(USER.c.user_name).where(*_key(user.tenant_id, user.user_name))).one_or_none()
    if found is not None:
        raise user_taken(user.user_name)
    connection.execute(sa.insert(USER).values(**_values(user), password_hash=password_hash))


def replace(connection: sa.Connection, user: User, password_hash: str | None = None) -> None:
    """Writes all fields of one that exists; the password only if a hash is given."""
    values = _values(user) | ({} if password_hash is None else {"password_hash": password_hash})
    connection.execute(sa.update(USER).where(*_key(user.tenant_id, user.user_name)).values(values))


def _key(tenant_id: str, user_name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return USER.c.tenant_id == tenant_id, USER.c.user_name == user_name


def _values(user: User) -> dict[str, Any]:
    return asdict(user) | {"roles": list(user.roles)}


def _user(row: Any) -> User:
    values = {column.name: row._mapping[column] for column in _FIELDS}
    return User(**values | {"roles": tuple(row.roles)})
