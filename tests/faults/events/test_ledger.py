"""The ledger finds what it is there to find."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.faults.events.ledger import Verdict, judge
from tests.faults.events.marks import GROUPS, MAKER, METADATA

NOW = "2026-01-01 00:00:00.000000"


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Three marks of one key, committed, confirmed and kept by both groups."""
    for role in (MAKER, *GROUPS):
        engine = sa.create_engine(f"sqlite:///{tmp_path / role}.db")
        METADATA.create_all(engine)
        engine.dispose()
    for number in (1, 2, 3):
        change(tmp_path, MAKER, f"INSERT INTO made (key, number, mark) VALUES ('t/a', {number}, 'fine:{number}')")
        change(
            tmp_path,
            MAKER,
            "INSERT INTO outbox (topic, key, number, tenant_id, event_id, envelope, create_time, confirmed) "
            f"VALUES ('marks', 't/a', {number}, 't', '{number}', '', '{NOW}', 1)",
        )
        for group in GROUPS:
            keep(tmp_path, group, number)
            change(
                tmp_path,
                group,
                "INSERT INTO inbox (consumer_group, topic, key, number, event_id, apply_time) "
                f"VALUES ('{group}', 'marks', 't/a', {number}, '{number}', '{NOW}')",
            )
    return tmp_path


def keep(folder: Path, group: str, number: int, mark: str = "") -> None:
    """Adds an effect."""
    values = f"('t/a', {number}, '{mark or f'fine:{number}'}', 0.5)"
    change(folder, group, f"INSERT INTO kept (key, number, mark, latency_s) VALUES {values}")


def change(folder: Path, role: str, statement: str) -> None:
    """Changes a database of one side."""
    with closing(sqlite3.connect(folder / f"{role}.db")) as connection, connection:
        connection.execute(statement)


def lists(verdict: Verdict) -> Iterator[str]:
    """Names of the lists in which something is found."""
    for name in ("lost", "twice", "unexpected", "out_of_order", "unsettled"):
        if getattr(verdict, name):
            yield name


def test_all_is_well(books: Path):
    """Three marks, two groups, six effects, and nothing to complain about."""
    verdict = judge(books)
    assert (verdict.committed, verdict.applied, verdict.max_latency_s) == (3, 6, 0.5)
    assert verdict.complaints == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DELETE FROM kept WHERE number = 3", ["lost", "unexpected"]),
        ("DELETE FROM inbox WHERE number = 3", ["unexpected"]),
        ("INSERT INTO kept (key, number, mark, latency_s) VALUES ('t/a', 3, 'fine:3', 1)", ["twice", "out_of_order"]),
        ("UPDATE kept SET mark = 'fine:9' WHERE number = 2", ["unexpected"]),
        ("UPDATE kept SET id = id + 10 WHERE number = 2", ["out_of_order"]),
        (
            f"""INSERT INTO parked_event (consumer_group, topic, key, number, tenant_id, event_id, envelope, park_time,
                attempts) VALUES ('left', 'marks', 't/a', 4, 't', '4', '', '{NOW}', 0)""",
            ["unsettled"],
        ),
        (
            f"""INSERT INTO hole (consumer_group, topic, key, number, reason, open_time)
                VALUES ('left', 'marks', 't/a', 4, 'MISSING', '{NOW}')""",
            ["unsettled"],
        ),
    ],
)
def test_what_is_wrong_with_a_group_is_found(books: Path, statement: str, found: list[str]):
    """Each kind of wrong stands in its own list."""
    change(books, GROUPS[0], statement)
    assert list(lists(judge(books))) == found


def test_what_nobody_has_confirmed_is_found(books: Path):
    """A row that the outbox still has to see confirmed is not settled."""
    change(books, MAKER, "UPDATE outbox SET confirmed = 0 WHERE number = 2")
    assert list(lists(judge(books))) == ["unsettled"]


def test_a_hole_may_be_filled_late(books: Path):
    """Order is promised for all but recorded holes."""
    change(books, GROUPS[0], "UPDATE kept SET id = id + 10 WHERE number = 2")
    change(
        books,
        GROUPS[0],
        "INSERT INTO hole (consumer_group, topic, key, number, reason, open_time, closed_time) "
        f"VALUES ('left', 'marks', 't/a', 2, 'MISSING', '{NOW}', '{NOW}')",
    )
    assert judge(books).complaints == []
