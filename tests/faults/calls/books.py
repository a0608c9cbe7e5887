"""What the servers of these tests keep: a row for each effect, in a database of their own, and how it is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trunkline.errors import already_exists
from trunkline.storage import Transaction, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
EFFECT = sa.Table(
    "effect",
    METADATA,
    # Nothing here forbids a second row: a test must be able to see one.
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
)
_SUM = sa.select(sa.func.coalesce(sa.func.sum(EFFECT.c.amount), 0))


def record(transaction: Transaction, tenant_id: str, name: str, amount: int, *, once: bool = False) -> int:
    """Adds a row; gives the sum of the tenant's.

    Args:
        transaction: of the unit of work.
        tenant_id: whose.
        name: of the effect.
        amount: what is added.
        once: the name is a business key, and a second row with it is refused.
    """
    connection = transaction.connection
    if once and connection.scalar(sa.select(sa.func.count()).where(EFFECT.c.name == name)):
        raise already_exists("AS_ASKED", "there is an effect of that name", name=name)
    connection.execute(sa.insert(EFFECT).values(tenant_id=tenant_id, name=name, amount=amount))
    return int(connection.scalar(_SUM.where(EFFECT.c.tenant_id == tenant_id)) or 0)


def effects(database: Path, name: str) -> list[int]:
    """Amounts of all rows of a name, as they are committed."""
    return [int(amount) for (amount,) in _select(database, "SELECT amount FROM effect WHERE name = ?", name)]


def stored_answers(database: Path, key: str) -> list[bytes]:
    """Answers that are stored under a key, as they are; sealed ones are encrypted."""
    return [bytes(one) for (one,) in _select(database, "SELECT answer FROM idempotency_answer WHERE key = ?", key)]


def _select(database: Path, query: str, value: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query, (value,)).fetchall()
