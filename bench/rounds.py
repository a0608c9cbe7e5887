"""Short slices, each between two of its yardstick: what a noisy machine does to one, it does to its neighbours."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Call = Callable[[], Awaitable[Any]]
"""Makes one call."""
Slice = Callable[[Call], Awaitable[tuple[float, ...]]]
"""Measures a call for a fraction of a second, by one number or several."""
CALLERS = 16
"""Callers at once, where there are many."""
LEAD_IN = 8
"""Calls of a caller before a slice counts: the slice before was of something else."""
P50_CALLS = 80
"""Calls of a slice with one caller."""
RATE_CALLS = 20
"""Calls of each of many callers in a slice."""
WARM_CALLS = 400
"""Calls before anything is measured."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """Something that is measured between two slices of its yardstick."""

    subject: str
    """What is measured."""
    yardstick: str
    """What stands before and after it."""
    repeats: int = 1
    """How often in a round."""


@dataclass(slots=True)
class Measured:
    """What slices gave."""

    pairs: dict[Pair, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Of each pair: (the subject's slice, mean of the yardstick's before and after)."""
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """All slices by what was measured."""

    def middle(self, name: str) -> float:
        """Median of all slices."""
        return statistics.median(self.values[name])

    def subjects(self, pair: Pair) -> list[float]:
        """The subject's slices."""
        return [own for own, _ in self.pairs[pair]]

    def yardsticks(self, pair: Pair) -> list[float]:
        """What the yardstick gave beside each of them."""
        return [other for _, other in self.pairs[pair]]


def spread(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of a round, repeats far from each other."""
    placed = [((index + 0.5) / pair.repeats, pair) for pair in pairs for index in range(pair.repeats)]
    return [pair for _, pair in sorted(placed, key=lambda one: one[0])]


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The same items, from another beginning."""
    start = by % len(items) if items else 0
    return [*items[start:], *items[:start]]


def slices(order: Sequence[Pair]) -> Iterator[tuple[str, Pair | None]]:
    """What is measured, one after the other; a pair stands with its subject.

    A yardstick between two subjects serves both.
    """
    last = ""
    for pair in order:
        if last != pair.yardstick:
            yield pair.yardstick, None
        yield pair.subject, pair
        yield pair.yardstick, None
        last = pair.yardstick


def record(measured: Measured, taken: Sequence[tuple[str, Pair | None, float]]) -> None:
    """Puts each subject beside the slices before and after it."""
    for index, (name, pair, value) in enumerate(taken):
        measured.values[name].append(value)
        if pair is not None:
            measured.pairs[pair].append((value, (taken[index - 1][2] + taken[index + 1][2]) / 2))


async def measure_round(
    calls: Mapping[str, Call],
    order: Sequence[Pair],
    measure: Slice,
    into: Sequence[Measured],
    done: Callable[[], None],
) -> None:
    """Takes every slice of one order; `done` is called after each. There is one `into` for each number of a slice."""
    taken = []
    for name, pair in slices(order):
        # The same for all: nobody's slice pays for the garbage of another.
        gc.collect()
        taken.append((name, pair, await measure(calls[name])))
        done()
    for index, measured in enumerate(into):
        record(measured, [(name, pair, values[index]) for name, pair, values in taken])


async def p50(call: Call) -> tuple[float]:
    """Median seconds of a call, one caller."""
    times = []
    for _ in range(LEAD_IN):
        await call()
    for _ in range(P50_CALLS):
        started = time.perf_counter()
        await call()
        times.append(time.perf_counter() - started)
    return (statistics.median(times),)


async def rate(call: Call) -> tuple[float, float]:
    """Calls a second of many callers; and seconds of CPU a call, which say something on a busy machine as well."""
    await many(call, LEAD_IN // 4)
    started, used = time.perf_counter(), time.process_time()
    await many(call, RATE_CALLS)
    calls = RATE_CALLS * CALLERS
    return calls / (time.perf_counter() - started), (time.process_time() - used) / calls


async def many(call: Call, each: int) -> None:
    """Makes `each` calls with every one of many callers."""

    async def caller() -> None:
        for _ in range(each):
            await call()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def warm(calls: Mapping[str, Call]) -> None:
    """Makes each call often enough to be in its stride; what was made till then is no garbage."""
    for call in calls.values():
        await many(call, WARM_CALLS // CALLERS)
        await p50(call)
    gc.collect()
    gc.freeze()
