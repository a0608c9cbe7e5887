"""What a database of either kind says how it goes about what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}


def plans(connection: sa.Connection, work: Callable[[sa.Connection], object]) -> list[str]:
    """Runs work, and gives the steps of the plans of all of its statements. On PostgreSQL tables must be analyzed."""
    statements: list[tuple[str, Any]] = []

    def note(*given: Any) -> None:
        statements.append((given[2], given[3]))

    sa.event.listen(connection, "before_cursor_execute", note)
    work(connection)
    sa.event.remove(connection, "before_cursor_execute", note)
    found: list[str] = []
    for statement, parameters in statements:
        one = parameters[0] if isinstance(parameters, list) else parameters
        explained = connection.exec_driver_sql(f"{_EXPLAIN[connection.dialect.name]} {statement}", one)
        found += [str(row[-1]) for row in explained]
    return found
