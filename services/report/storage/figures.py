"""Running figures: every log adds to them, every report sums them. Functions run in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa

from services.report.domain.figures import Figure, FigureKey, FigureName
from services.report.domain.scope import Place, Scope
from services.report.storage.keys import at, here, key_of, within
from services.report.storage.tables import FIGURE

RunningKey = tuple[str, date, int, int, FigureKey]
"""Store, business date, terminal and opening of a figure, and which it is."""

_F = FIGURE.c
_SUMS = (sa.func.sum(_F.amount), sa.func.sum(_F.quantity), sa.func.sum(_F.count))
_DELTAS = ("amount", "quantity", "count")
# Made once: putting a statement together costs more than running it.
_ADD = (
    sa.update(FIGURE)
    .where(*at(FIGURE, "name", "code"))
    .values({name: _F[name] + sa.bindparam(f"add_{name}") for name in _DELTAS})
)
_THERE = sa.select(_F.name, _F.code).where(*at(FIGURE))


def add(connection: sa.Connection, place: Place, figures: Mapping[FigureKey, Figure]) -> None:
    """Adds to the figures of a place."""
    rows = [
        {**here(place), "at_name": key.name, "at_code": key.code, **_values(figure, "add_")}
        for key, figure in figures.items()
    ]
    if rows and connection.execute(_ADD, rows).rowcount < len(rows):
        _make(connection, place, figures)


def _make(connection: sa.Connection, place: Place, figures: Mapping[FigureKey, Figure]) -> None:
    """Makes those of the figures that a place does not have yet."""
    there = {(row.name, row.code) for row in connection.execute(_THERE, here(place))}
    rows = [
        {**key_of(place), "name": key.name, "code": key.code, **_values(figure)}
        for key, figure in figures.items()
        if (key.name, key.code) not in there
    ]
    if rows:
        connection.execute(sa.insert(FIGURE), rows)


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


def _values(figure: Figure, prefix: str = "") -> dict[str, int]:
    return {f"{prefix}{name}": getattr(figure, name) for name in _DELTAS}
