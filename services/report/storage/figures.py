"""Running figures: every log adds to them, every report sums them. Functions run in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa

from services.report.domain.figures import Figure, FigureKey, FigureName
from services.report.domain.scope import Place, Scope
from services.report.storage.keys import at, key_of, within
from services.report.storage.tables import FIGURE

RunningKey = tuple[str, date, int, int, FigureKey]
"""Store, business date, terminal and opening of a figure, and which it is."""

_F = FIGURE.c
_SUMS = (sa.func.sum(_F.amount), sa.func.sum(_F.quantity), sa.func.sum(_F.count))
_ADD = {"amount": _F.amount + sa.bindparam("d_amount"), "quantity": _F.quantity + sa.bindparam("d_quantity")}
_ADD["count"] = _F["count"] + sa.bindparam("d_count")


def add(connection: sa.Connection, place: Place, figures: Mapping[FigureKey, Figure]) -> None:
    """Adds to the figures of a place."""
    there = {
        FigureKey(FigureName(row.name), row.code)
        for row in connection.execute(sa.select(_F.name, _F.code).where(*at(FIGURE, place)))
    }
    changed = [
        {"d_name": key.name, "d_code": key.code, **_deltas(figure)} for key, figure in figures.items() if key in there
    ]
    if changed:
        this = (_F.name == sa.bindparam("d_name"), _F.code == sa.bindparam("d_code"))
        connection.execute(sa.update(FIGURE).where(*at(FIGURE, place), *this).values(_ADD), changed)
    new = [
        {**key_of(place), "name": key.name, "code": key.code, **_values(figure)}
        for key, figure in figures.items()
        if key not in there
    ]
    if new:
        connection.execute(sa.insert(FIGURE), new)


def summed(connection: sa.Connection, scope: Scope) -> dict[FigureKey, Figure]:
    """The sums over a scope."""
    query = sa.select(_F.name, _F.code, *_SUMS).where(*within(FIGURE, scope)).group_by(_F.name, _F.code)
    # A sum may come as a decimal.
    return {
        FigureKey(FigureName(name), code): Figure(int(amount), int(quantity), int(count))
        for name, code, amount, quantity, count in connection.execute(query)
    }


def running(connection: sa.Connection, tenant_id: str) -> dict[RunningKey, Figure]:
    """All figures of a tenant that are not nothing, to be compared with a recount."""
    rows = connection.execute(sa.select(FIGURE).where(_F.tenant_id == tenant_id)).mappings()
    figures = {
        (
            row["store_code"],
            row["business_date"],
            row["terminal_no"],
            row["open_counter"],
            FigureKey(FigureName(row["name"]), row["code"]),
        ): Figure(row["amount"], row["quantity"], row["count"])
        for row in rows
    }
    return {key: figure for key, figure in figures.items() if figure}


def running_key(place: Place, key: FigureKey) -> RunningKey:
    """The key of a figure of a place."""
    opening, terminal = place.opening, place.terminal_id
    return terminal.store_code, opening.business_date, terminal.terminal_no, opening.open_counter, key


def _deltas(figure: Figure) -> dict[str, int]:
    return {f"d_{name}": value for name, value in _values(figure).items()}


def _values(figure: Figure) -> dict[str, int]:
    return {"amount": figure.amount, "quantity": figure.quantity, "count": figure.count}
