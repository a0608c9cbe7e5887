"""How places and scopes are found in the tables. An opening's key leads every table of figures."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.report.domain.scope import Place, Scope


def key_of(place: Place) -> dict[str, Any]:
    """The key columns of a place."""
    return {
        "tenant_id": place.terminal_id.tenant_id,
        "store_code": place.terminal_id.store_code,
        "business_date": place.opening.business_date,
        "terminal_no": place.terminal_id.terminal_no,
        "open_counter": place.opening.open_counter,
    }


def at(table: sa.Table, place: Place) -> tuple[sa.ColumnElement[bool], ...]:
    """The rows of a place."""
    return tuple(table.c[name] == value for name, value in key_of(place).items())


def within(table: sa.Table, scope: Scope) -> tuple[sa.ColumnElement[bool], ...]:
    """The rows of a scope."""
    columns = table.c
    rows = [
        columns.tenant_id == scope.tenant_id,
        columns.store_code == scope.store_code,
        columns.business_date.between(scope.first, scope.last),
    ]
    if scope.terminal_no is not None:
        rows.append(columns.terminal_no == scope.terminal_no)
    if scope.open_counter is not None:
        rows.append(columns.open_counter == scope.open_counter)
    return tuple(rows)
