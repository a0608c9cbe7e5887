"""The yardstick of a consumer: sqlite3 itself, writing the rows that an event leaves behind."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from bench.eventing.feed import METADATA

GROUP = "report"
NOW = "2026-01-05 09:00:00.000000"
_INBOX = "INSERT INTO inbox (consumer_group, topic, key, number, event_id, apply_time) VALUES (?, ?, ?, ?, ?, ?)"
_EFFECT = "INSERT INTO effect (key, number, total) VALUES (?, ?, ?)"
_MOVE = (
    "INSERT INTO consumer_position (consumer_group, topic, key, number, update_time) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (consumer_group, topic, key) DO UPDATE SET number = excluded.number"
)


class Row(NamedTuple):
    """What is written of an event."""

    topic: str
    key: str
    number: int
    event_id: str
    total: int


def made(path: Path) -> None:
    """A file with the tables of the bench."""
    engine = sa.create_engine(f"sqlite:///{path}")
    METADATA.create_all(engine)
    engine.dispose()


def write(path: Path, rows: Sequence[Row], batch: int) -> float:
    """Writes rows in their order, so many in a transaction, durably; gives the seconds it took."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        started = time.perf_counter()
        for start in range(0, len(rows), batch):
            _batch(connection, rows[start : start + batch])
        return time.perf_counter() - started
    finally:
        connection.close()


def _batch(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    last = {(row.topic, row.key): row.number for row in rows}
    connection.executemany(_EFFECT, [(row.key, row.number, row.total) for row in rows])
    connection.executemany(_INBOX, [(GROUP, *row[:4], NOW) for row in rows])
    connection.executemany(_MOVE, [(GROUP, topic, key, number, NOW) for (topic, key), number in last.items()])
    connection.execute("COMMIT")
