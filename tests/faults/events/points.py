"""Crash points: a process dies, or stands still, at every fault point there is; then the ledger has to be right.

`python -m tests.faults.events.points` goes through all of them, at several hits each, and prints the table; `--json`
for scripts, `--hits 1` for what CI goes through.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trunkline.faultpoints import POINTS

from tests.faults.events.ledger import Verdict, rows_of
from tests.faults.events.marks import GROUPS, MAKER
from tests.faults.events.world import Member, World, is_begun, until, world

KILLED = 137
REACH_S = 15.0
"""Seconds of traffic within which a point is reached."""
HITS = (1, 2, 5)
"""At which times a point is reached that the process dies there, where all is gone through."""
UNWILLING = frozenset({"consumer.after_park", "consumer.after_count", "consumer.after_bury"})
"""Points that only failing events come to."""
RARE = frozenset({"consumer.after_bury"})
"""Points that are reached once a round."""
LOCKING = frozenset({"outbox.before_commit", "outbox.after_commit", "consumer.before_effect", "consumer.after_effect"})
"""Points at which a transaction is open, or may be: while a process stands still nobody else can write, on SQLite."""
_SETTLES_S = 20.0


class NeverReached(AssertionError):
    """A point that no traffic comes to."""


@dataclass(frozen=True, slots=True)
class Case:
    """A fault at a point."""

    point: str
    """Its name."""
    action: str = "exit"
    """What happens there: exit (killed), or stop until somebody else has taken over."""
    nth: int = 1
    """At which time it is reached."""

    @property
    def name(self) -> str:
        """What its keys are named."""
        return f"{self.point.replace('.', '-')}-{self.action}-{self.nth}"

    @property
    def role(self) -> str:
        """Who comes to the point."""
        return GROUPS[0] if self.point.startswith("consumer.") else MAKER

    @property
    def faults(self) -> str:
        """The setting."""
        return f"{self.point}={self.action}{':137' if self.action == 'exit' else ''}@{self.nth}"


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a case."""

    point: str
    action: str
    nth: int
    committed: int
    applied: int
    lost: int
    twice: int
    out_of_order: int
    dead: int
    drained_s: float


def cases(hits: Sequence[int] = HITS, *, stops: bool = True) -> list[Case]:
    """All cases."""
    deaths = [Case(point, "exit", nth) for point in sorted(POINTS) for nth in hits if nth == 1 or point not in RARE]
    return deaths + [Case(point, "stop") for point in sorted(POINTS) if stops]


async def play(scene: World, case: Case) -> Row:
    """Plays a case in a world where nothing runs or where all is well, and leaves it well.

    Raises:
        NeverReached: traffic does not come to the point.
        AssertionError: the ledger is wrong.
    """
    await scene.end(*scene.alive(case.role))
    for role in {MAKER, *GROUPS} - {case.role}:
        if not scene.alive(role):
            scene.start(role)
    before = await asyncio.to_thread(scene.judge) if is_begun(scene.folder) else Verdict()
    quiet = case.action == "stop" and case.point.startswith("relay.")
    victim = scene.start(case.role, case.faults, quiet=quiet)
    other = await _rival(scene, case) if quiet else None
    if case.role != MAKER:
        # What was there before it would be read at once, and after its death be tried one by one: how much that is, and
        # how long it takes, would be a matter of how long a process takes to start.
        await until(lambda: _holds(scene.folder, case.role, "consumer/%"), "somebody consumes", REACH_S)
    scene.trade(case.name, "unwilling" if case.point in UNWILLING else "willing")
    try:
        await until(lambda: victim.exit_code is not None or victim.stopped, case.point, REACH_S)
    except AssertionError:
        raise NeverReached(f"{case.point}: never reached in {REACH_S:.0f} s of traffic") from None
    finally:
        scene.rest()
    began = time.monotonic()
    if case.action == "exit":
        assert await victim.ended(1) == KILLED
        scene.start(case.role)
    else:
        await _outlive(scene, case, victim, other or scene.start(case.role))
        began = time.monotonic()
    verdict = await scene.drained(_SETTLES_S)
    return _row(case, before, verdict, time.monotonic() - began)


async def _rival(scene: World, case: Case) -> Member:
    """Another maker, once the first has the lease: it commits, and so the first is in no transaction of a call."""
    await until(lambda: _holds(scene.folder, MAKER, "relay"), "somebody relays", REACH_S)
    return scene.start(case.role)


def _holds(folder: Path, role: str, lease: str) -> bool:
    """Whether a process of a role has a lease of that name; it may end in %."""
    query = f"SELECT 1 FROM lease WHERE name LIKE '{lease}' AND worker_id IS NOT NULL"
    try:
        return bool(rows_of(folder / f"{role}.db", query))
    except sqlite3.OperationalError:
        return False


async def _outlive(scene: World, case: Case, victim: Member, other: Member) -> None:
    """Others take over from a process that stands still; then it goes on, as if nothing had been."""
    if case.point in LOCKING:
        await asyncio.sleep(1)  # the fault itself: for so long nobody can write
    else:
        scene.trade(f"{case.name}-then")
        await scene.grown(20)
        scene.rest()
        await scene.drained(_SETTLES_S)
        scene.trade(f"{case.name}-again")
    victim.signal(signal.SIGCONT)
    if case.point not in LOCKING:
        await scene.grown(20)
        scene.rest()
    await scene.drained(_SETTLES_S)
    await scene.end(victim)
    assert other.exit_code is None


def _row(case: Case, before: Verdict, verdict: Verdict, drained_s: float) -> Row:
    return Row(
        case.point,
        case.action,
        case.nth,
        verdict.committed - before.committed,
        verdict.applied - before.applied,
        len(verdict.lost),
        len(verdict.twice),
        len(verdict.out_of_order),
        verdict.dead - before.dead,
        round(drained_s, 2),
    )


async def play_all(wanted: Sequence[Case], told: object = None) -> tuple[list[Row], list[str]]:
    """Plays cases one after the other in one world; gives the rows, and what went wrong."""
    rows, failures = list[Row](), list[str]()
    with tempfile.TemporaryDirectory(prefix="points-") as folder:
        async with world(Path(folder)) as scene:
            for case in wanted:
                try:
                    rows.append(await play(scene, case))
                except AssertionError as error:
                    failures.append(f"{case.name}: {error}")
                if callable(told):
                    told(case, rows, failures)
    return rows, failures


def table(rows: Sequence[Row]) -> str:
    """Rows, for people."""
    titles = list(Row.__dataclass_fields__)
    lines = [titles, *([str(value) for value in asdict(row).values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Goes through the points; 0 only if the ledger is right after each."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.events.points", description=__doc__)
    parser.add_argument("--json", action="store_true", help="rows for scripts")
    parser.add_argument("--hits", default="1,2,5", help="at which times a point is reached the process dies there")
    parser.add_argument("--only", default="", help="points whose names begin so")
    parser.add_argument("--no-stop", action="store_true", help="deaths only")
    options = parser.parse_args(arguments)
    hits = [int(one) for one in options.hits.split(",")]
    wanted = [one for one in cases(hits, stops=not options.no_stop) if one.point.startswith(options.only)]

    def told(case: Case, rows: Sequence[Row], failures: Sequence[str]) -> None:
        print(f"{case.faults:40} {len(rows)} right, {len(failures)} wrong", file=sys.stderr, flush=True)

    rows, failures = asyncio.run(play_all(wanted, told))
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "failures": failures}))
    else:
        print(table(rows))
        print("\n".join(failures) or "lost 0, applied twice 0, out of order 0 at every point")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
