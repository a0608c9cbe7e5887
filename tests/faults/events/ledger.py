"""The ledger: what was committed against what every group did, read from their databases and from nothing else."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.events.marks import GROUPS, MAKER, NEVER

Event = tuple[str, int]
"""Key and number."""


@dataclass(slots=True)
class Verdict:
    """What became of everything that was committed, over all groups."""

    committed: int = 0
    """Marks in the publisher's database."""
    applied: int = 0
    """Effects."""
    dead: int = 0
    """Dead letters of marks that nobody takes."""
    lost: list[str] = field(default_factory=list)
    """Committed, and without effect. While work goes on these are on their way."""
    twice: list[str] = field(default_factory=list)
    """With more than one effect."""
    unexpected: list[str] = field(default_factory=list)
    """Effects of what was never committed, and rows that do not belong together."""
    out_of_order: list[str] = field(default_factory=list)
    """Applied before one of a smaller number, which was no hole."""
    unsettled: list[str] = field(default_factory=list)
    """What waits: unconfirmed rows of the outbox, parked events."""
    max_latency_s: float = 0.0
    """Longest time from commit to effect."""

    @property
    def unsafe(self) -> list[str]:
        """What must never be found, not even while work goes on."""
        return [*self.twice, *self.unexpected, *self.out_of_order]

    @property
    def complaints(self) -> list[str]:
        """All that must not be found once work has ended."""
        return [*self.unsafe, *self.lost, *self.unsettled]


def judge(folder: Path) -> Verdict:
    """The ledger of a folder as it is now. Effects are read before commits, so it may be done while both go on."""
    verdict = Verdict()
    groups = {group: _group(folder / f"{group}.db", group) for group in GROUPS}
    made = {
        (key, number): mark
        for key, number, mark in rows_of(folder / f"{MAKER}.db", "SELECT key, number, mark FROM made")
    }
    verdict.committed = len(made)
    verdict.unsettled += [
        f"{key} #{number}: the outbox waits for its confirmation"
        for key, number in rows_of(folder / f"{MAKER}.db", "SELECT key, number FROM outbox WHERE NOT confirmed")
    ]
    for group, rows in groups.items():
        _compare(verdict, group, rows, made)
    return verdict


@dataclass(frozen=True, slots=True)
class _Group:
    kept: Sequence[tuple[str, int, str, float]]
    inbox: Sequence[Event]
    letters: Sequence[Event]
    holes: Sequence[Event]
    parked: Sequence[Event]


def _group(file: Path, group: str) -> _Group:
    own = f"WHERE consumer_group = '{group}'"
    # One after the other while work goes on: effects first, so that what came meanwhile looks like too little.
    with closing(_open(file)) as connection:
        connection.execute("BEGIN")
        return _Group(
            connection.execute("SELECT key, number, mark, latency_s FROM kept ORDER BY id").fetchall(),
            connection.execute(f"SELECT key, number FROM inbox {own}").fetchall(),
            connection.execute(f"SELECT key, number FROM dead_letter {own} AND closed_time IS NULL").fetchall(),
            connection.execute(f"SELECT key, number FROM hole {own}").fetchall(),
            connection.execute(f"SELECT key, number FROM parked_event {own}").fetchall(),
        )


def _compare(verdict: Verdict, group: str, rows: _Group, made: dict[Event, str]) -> None:
    effects = Counter((key, number) for key, number, *_ in rows.kept)
    letters = {event for event in rows.letters if made.get(event, "").startswith(NEVER)}
    verdict.applied += len(rows.kept)
    verdict.dead += len(letters)
    verdict.max_latency_s = max([verdict.max_latency_s, *(latency for *_, latency in rows.kept)])
    verdict.lost += _named(group, "lost", made.keys() - effects.keys() - letters)
    verdict.twice += _named(group, "applied twice", (event for event, times in effects.items() if times > 1))
    verdict.unexpected += _named(
        group,
        "was never committed",
        ((key, number) for key, number, mark, _ in rows.kept if made.get((key, number)) != mark),
    )
    verdict.unexpected += _named(group, "inbox and effect differ", effects.keys() ^ set(rows.inbox))
    verdict.unexpected += _named(group, "a dead letter, and good", set(rows.letters) - letters)
    # Patience may run out while everything is broken; what was passed over comes later.
    holes = set(rows.holes) - set(rows.letters) - effects.keys()
    verdict.unsettled += _named(group, "a hole, and no dead letter", holes)
    verdict.out_of_order += _named(group, "out of order", _out_of_order(rows))
    verdict.unsettled += _named(group, "parked", rows.parked)


def _out_of_order(rows: _Group) -> Iterator[Event]:
    last, holes = dict[str, int](), set(rows.holes)
    for key, number, *_ in rows.kept:
        if (key, number) in holes:
            continue
        between = range(last.get(key, 0) + 1, number)
        # Smaller than the last, or past one that was not passed over on purpose.
        if number <= last.get(key, 0) or any((key, skipped) not in holes for skipped in between):
            yield key, number
        last[key] = max(number, last.get(key, 0))


def _named(group: str, what: str, events: Any) -> list[str]:
    return [f"{group}: {key} #{number} {what}" for key, number in sorted(events)]


def rows_of(file: Path, query: str) -> list[Any]:
    """Rows of a database that others write."""
    with closing(_open(file)) as connection:
        return connection.execute(query).fetchall()


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)
