"""Staff in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.store.domain.staff import StaffMember, staff_missing, staff_taken
from services.store.storage.tables import STAFF

_FIELDS = (STAFF.c.staff_id, STAFF.c.name, STAFF.c.roles, STAFF.c.active)


def get(connection: sa.Connection, tenant_id: str, staff_id: str) -> StaffMember:
    """The staff member, active or not; NotFound / STAFF_NOT_FOUND."""
    row = connection.execute(sa.select(*_FIELDS).where(*_key(tenant_id, staff_id))).first()
    if row is None:
        raise staff_missing(staff_id)
    return _member(row)


def find_with_pin(connection: sa.Connection, tenant_id: str, staff_id: str) -> tuple[StaffMember, str] | None:
    """The staff member and the hash of the PIN, if there is one."""
    row = connection.execute(sa.select(*_FIELDS, STAFF.c.pin_hash).where(*_key(tenant_id, staff_id))).first()
    return (_member(row), row.pin_hash) if row is not None else None


def page(connection: sa.Connection, tenant_id: str, *, after: str, limit: int) -> list[StaffMember]:
    """Staff by id, after one."""
    query = sa.select(*_FIELDS).where(STAFF.c.tenant_id == tenant_id, STAFF.c.staff_id > after)
    return [_member(row) for row in connection.execute(query.order_by(STAFF.c.staff_id).limit(limit))]


def add(connection: sa.Connection, tenant_id: str, member: StaffMember, pin_hash: str) -> None:
    """Adds a new one; AlreadyExists / STAFF_EXISTS."""
    if find_with_pin(connection, tenant_id, member.staff_id) is not None:
        raise staff_taken(member.staff_id)
    values = {"tenant_id": tenant_id, "staff_id": member.staff_id, "pin_hash": pin_hash, **_values(member)}
    connection.execute(sa.insert(STAFF).values(values))


def replace(connection: sa.Connection, tenant_id: str, member: StaffMember, pin_hash: str | None) -> None:
    """Writes all fields of one that exists; the PIN only if a hash is given."""
    values = _values(member) | ({} if pin_hash is None else {"pin_hash": pin_hash})
    connection.execute(sa.update(STAFF).where(*_key(tenant_id, member.staff_id)).values(values))


def _key(tenant_id: str, staff_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return STAFF.c.tenant_id == tenant_id, STAFF.c.staff_id == staff_id


def _values(member: StaffMember) -> dict[str, Any]:
    return {"name": member.name, "roles": list(member.roles), "active": member.active}


def _member(row: Any) -> StaffMember:
    return StaffMember(staff_id=row.staff_id, name=row.name, roles=tuple(row.roles), active=row.active)
