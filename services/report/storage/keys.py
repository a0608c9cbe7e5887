"""How places and scopes are found in the tables. An opening's key leads every table of figures."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.report.domain.scope import Place, Scope

KEY = ("tenant_id", "store_code", "business_date", "terminal_no", "open_counter")
"""Columns of an opening's key."""


def at(table: sa.Table, *more: str) -> tuple[sa.ColumnElement[bool], ...]:
    """The rows of a place, and of further columns, that are given at execution: `here` has the values of the place."""
    return tuple(table.c[name] == sa.bindparam(f"at_{name}") for name in (*KEY, *more))


def here(place: Place) -> dict[str, Any]:
    """Values for `at`."""
    return {f"at_{name}": value for name, value in key_of(place).items()}


def key_of(place: Place) -> dict[str, Any]:
    """The key columns of a place."""
    terminal, opening = place.terminal_id, place.opening
    values = (
        terminal.tenant_id,
        terminal.store_code,
        opening.business_date,
        terminal.terminal_no,
        opening.open_counter,
    )
    return dict(zip(KEY, values, strict=True))


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
