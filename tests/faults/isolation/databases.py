"""All that a tenant has in all databases of the shop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.local.system import SERVICES
from tests.shop.books import opened

Dump = dict[str, tuple[int, str]]
"""Table → rows of the tenant, and the hash of them."""
OF_STRANGERS = {"sign_in_failure"}
"""Tables that keep what strangers do to a tenant: wrong passwords of its users."""


def rows_of(var_dir: Path, tenant_id: str) -> Dump:
    """Every row in which the tenant's id stands, in whatever column: alone, before a slash, or in bytes."""
    found: Dump = {}
    for service in SERVICES:
        for table, rows in _tables(var_dir, service):
            if table in OF_STRANGERS:
                continue
            own = sorted(repr(row) for row in rows if any(_is_of(value, tenant_id) for value in row))
            if own:
                found[f"{service}.{table}"] = (len(own), hashlib.sha256("\n".join(own).encode()).hexdigest())
    return found


def rows_with(var_dir: Path, text: str, *, beside: Sequence[str]) -> list[str]:
    """Tables in which a text stands in a row of anybody but these tenants."""
    return [
        f"{service}.{table}"
        for service in SERVICES
        for table, rows in _tables(var_dir, service)
        for row in rows
        if any(_holds(value, text) for value in row)
        and not any(_is_of(value, tenant_id) for value in row for tenant_id in beside)
    ]


def _tables(var_dir: Path, service: str) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    with opened(var_dir, service) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in names.fetchall():
            yield table, [tuple(row) for row in connection.execute(f'SELECT * FROM "{table}"')]


def _is_of(value: object, tenant_id: str) -> bool:
    if isinstance(value, bytes):
        return tenant_id.encode() in value
    return isinstance(value, str) and (value == tenant_id or value.startswith(f"{tenant_id}/"))


def _holds(value: object, text: str) -> bool:
    return text.encode() in value if isinstance(value, bytes) else isinstance(value, str) and text in value
