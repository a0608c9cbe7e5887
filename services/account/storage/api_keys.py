"""API keys in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from services.account.domain.api_key import ApiKey, ApiKeyKind, api_key_missing
from services.account.storage.tables import API_KEY, TENANT

_FIELDS = [column for column in API_KEY.c if column.name != "secret_hash"]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with what is needed to take its credential for good."""

    key: ApiKey
    """The key, revoked or not."""
    secret_hash: bytes = field(repr=False)
    """SHA-256 of its secret."""
    currency_code: str
    """Currency of its tenant; empty for a service."""


def add(connection: sa.Connection, key: ApiKey, secret_hash: bytes) -> None:
    """Adds a new key."""
    connection.execute(sa.insert(API_KEY).values(**asdict(key), secret_hash=secret_hash))


def get(connection: sa.Connection, api_key_id: str, tenant_id: str | None) -> ApiKey:
    """The key; NotFound / API_KEY_NOT_FOUND.

    Args:
        connection: of the transaction.
        api_key_id: its id.
        tenant_id: only a key of this tenant is found (empty: of a service); None finds any.
    """
    query = sa.select(*_FIELDS).where(API_KEY.c.api_key_id == api_key_id)
    if tenant_id is not None:
        query = query.where(API_KEY.c.tenant_id == tenant_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise api_key_missing(api_key_id)
    return _key(row)


def find_stored(connection: sa.Connection, api_key_id: str) -> StoredKey | None:
    """The key of a credential with the hash of its secret, or None."""
    query = (
        sa.select(*_FIELDS, API_KEY.c.secret_hash, TENANT.c.currency_code)
        .select_from(API_KEY.outerjoin(TENANT, TENANT.c.tenant_id == API_KEY.c.tenant_id))
        .where(API_KEY.c.api_key_id == api_key_id)
    )
    row = connection.execute(query).one_or_none()
    return StoredKey(_key(row), row.secret_hash, row.currency_code or "") if row is not None else None


def page(connection: sa.Connection, tenant_id: str, *, before: str | None, limit: int) -> list[ApiKey]:
    """Keys of a tenant (empty: of services), newest first, before one."""
    query = sa.select(*_FIELDS).where(API_KEY.c.tenant_id == tenant_id)
    if before is not None:
        query = query.where(API_KEY.c.api_key_id < before)
    return [_key(row) for row in connection.execute(query.order_by(API_KEY.c.api_key_id.desc()).limit(limit))]


def replace(connection: sa.Connection, key: ApiKey) -> None:
    """Writes what may change of a key that exists: its revocation."""
    where = (API_KEY.c.tenant_id == key.tenant_id, API_KEY.c.api_key_id == key.api_key_id)
    connection.execute(sa.update(API_KEY).where(*where).values(revoke_time=key.revoke_time))


def _key(row: sa.Row[*tuple[Any, ...]]) -> ApiKey:
    values = {column.name: row._mapping[column] for column in _FIELDS}
    return ApiKey(**values | {"kind": ApiKeyKind(row.kind)})
