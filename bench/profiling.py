"""Where the time of a call goes: self time by module, of a bare call and of one through both chains.

A profiler makes Python slower and compiled code not, so shares are to be compared, not added up. What grpc's compiled
part does in the loop's thread is counted with whatever of Python called it.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from rich.console import Console
from rich.table import Table

from bench.rounds import CALLERS, Call, many

CALLS = 800
"""Calls of a profile."""
PROFILES = 7
"""Profiles of which the median is taken: a busy machine spoils one, not most."""
WIDEST = 70
"""Longest name of a function that is printed whole, in characters."""
MODULES = 24
"""Most modules that are listed."""
FUNCTIONS = 30
"""Most functions that are listed."""
Place = tuple[str, int, str]
"""File, line and name of a function, as the profiler tells it."""


async def profiled(call: Call) -> Mapping[Place, float]:
    """Self time of each function, in microseconds of a call."""
    taken = [await _profile(call) for _ in range(PROFILES)]
    places = {place for one in taken for place in one}
    return {place: statistics.median(one.get(place, 0.0) for one in taken) for place in places}


async def _profile(call: Call) -> Mapping[Place, float]:
    profile = cProfile.Profile()
    profile.enable()
    await many(call, CALLS // CALLERS)
    profile.disable()
    entries = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # typeshed leaves it out
    return {place: entry[2] / CALLS * 1e6 for place, entry in entries.items()}


def module_of(file: str) -> str:
    """A file by its place among the packages: `trunkline.call`; what is compiled in is `built-in`."""
    if file.startswith(("~", "<")):
        return "built-in" if file == "~" else file
    parts = PurePath(file).with_suffix("").parts
    for root in ("site-packages", "python3.11", "python3.12", "python3.13", "platform", "gen"):
        if root in parts:
            last = len(parts) - parts[::-1].index(root)
            return ".".join(parts[last:])
    return ".".join(parts[-2:])


def by_module(times: Mapping[Place, float]) -> Mapping[str, float]:
    """Self time of each module."""
    found: Counter[str] = Counter()
    for (file, _, _), time_us in times.items():
        found[module_of(file)] += time_us  # type: ignore[assignment]  # a Counter adds floats as well
    return found


def show(title: str, bare: Mapping[str, float], full: Mapping[str, float], most: int, out: Console) -> None:
    """Prints what the chain adds, the greatest first."""
    table = Table(title=title, title_justify="left")
    table.add_column("where", no_wrap=True)
    for column in ("bare µs", "full µs", "more"):
        table.add_column(column, justify="right")
    added = {name: full.get(name, 0.0) - bare.get(name, 0.0) for name in {*bare, *full}}
    for name in sorted(added, key=lambda one: -added[one])[:most]:
        table.add_row(name, f"{bare.get(name, 0.0):.1f}", f"{full.get(name, 0.0):.1f}", f"{added[name]:+.1f}")
    table.add_row("all", f"{sum(bare.values()):.1f}", f"{sum(full.values()):.1f}", f"{sum(added.values()):+.1f}")
    out.print(table)


async def compare(bare: Call, full: Call, out: Console) -> None:
    """Profiles both, and prints self time by module and by function."""
    taken: Sequence[Mapping[Place, float]] = [await profiled(call) for call in (bare, full)]
    modules = [by_module(times) for times in taken]
    show("self time by module, µs a call under the profiler", modules[0], modules[1], MODULES, out)
    functions = [_named(times) for times in taken]
    show("self time by function, µs a call under the profiler", functions[0], functions[1], FUNCTIONS, out)


def _named(times: Mapping[Place, float]) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for (file, line, function), time_us in times.items():
        name = function if file == "~" else f"{module_of(file)}:{line} {function}"
        name = name[:WIDEST]
        found[name] = found.get(name, 0.0) + time_us
    return found
