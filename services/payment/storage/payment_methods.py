"""Payment methods in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from services.kernel.tender_kind import TenderKind
from services.payment.domain.payment_method import PaymentMethod, payment_method_missing, payment_method_taken
from services.payment.storage.tables import PAYMENT_METHOD

_FIELDS = [column for column in PAYMENT_METHOD.c if column.name != "tenant_id"]


def get(connection: sa.Connection, tenant_id: str, payment_method_code: str) -> PaymentMethod:
    """The payment method, active or not; NotFound / PAYMENT_METHOD_NOT_FOUND."""
    row = connection.execute(_select(tenant_id).where(_code == payment_method_code)).first()
    if row is None:
        raise payment_method_missing(payment_method_code)
    return _method(row)


def page(connection: sa.Connection, tenant_id: str, *, after: str, limit: int) -> list[PaymentMethod]:
    """Payment methods by code, after one."""
    rows = connection.execute(_select(tenant_id).where(_code > after).order_by(_code).limit(limit))
    return [_method(row) for row in rows]


def add(connection: sa.Connection, tenant_id: str, method: PaymentMethod) -> None:
    """Adds a new one; AlreadyExists / PAYMENT_METHOD_EXISTS."""
    if connection.execute(_select(tenant_id).where(_code == method.payment_method_code)).first() is not None:
        raise payment_method_taken(method.payment_method_code)
    connection.execute(sa.insert(PAYMENT_METHOD).values(tenant_id=tenant_id, **asdict(method)))


def replace(connection: sa.Connection, tenant_id: str, method: PaymentMethod) -> None:
    """Writes all fields of one that exists."""
    values = asdict(method)
    where = (PAYMENT_METHOD.c.tenant_id == tenant_id, _code == values.pop("payment_method_code"))
    connection.execute(sa.update(PAYMENT_METHOD).where(*where).values(**values))


_code = PAYMENT_METHOD.c.payment_method_code


def _select(tenant_id: str) -> sa.Select[Any]:
    return sa.select(*_FIELDS).where(PAYMENT_METHOD.c.tenant_id == tenant_id)


def _method(row: sa.Row[Any]) -> PaymentMethod:
    fields = dict(row._mapping)
    return PaymentMethod(kind=TenderKind(fields.pop("kind")), **fields)
