"""Values of settings in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from services.store.domain.setting import Place
from services.store.storage.tables import SETTING


def values(connection: sa.Connection, tenant_id: str, keys: Sequence[str], place: Place) -> dict[str, dict[Place, str]]:
    """The values that may hold in a place, by key and by where they were set."""
    columns = SETTING.c
    places = sa.or_(
        *(sa.and_(columns.store_code == one.store_code, columns.terminal_no == one.terminal_no) for one in place.lookup)
    )
    query = sa.select(columns.key, columns.store_code, columns.terminal_no, columns.value)
    found: dict[str, dict[Place, str]] = defaultdict(dict)
    for row in connection.execute(query.where(columns.tenant_id == tenant_id, columns.key.in_(keys), places)):
        found[row.key][Place(row.store_code, row.terminal_no)] = row.value
    return found


def put(connection: sa.Connection, tenant_id: str, key: str, place: Place, value: str | None) -> None:
    """Sets the value in a place, or removes it."""
    row = {"tenant_id": tenant_id, "key": key, "store_code": place.store_code, "terminal_no": place.terminal_no}
    connection.execute(sa.delete(SETTING).where(*(SETTING.c[name] == part for name, part in row.items())))
    if value is not None:
        connection.execute(sa.insert(SETTING).values(**row, value=value))
