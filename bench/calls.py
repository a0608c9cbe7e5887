"""A unary call through both full chains against bare grpc.aio, the usual glue and HTTP: `python -m bench.calls`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress
from trunkline.telemetry.logs import configure_logs

from bench import memory, profiling
from bench.paths.bearer import bearer
from bench.report import Result, absolute, console, content, ratio, show, write
from bench.rounds import Measured, Pair, measure_round, p50, rate, rotated, slices, spread, warm
from bench.ways import CARRIERS, OTHERS, POLICIES, Ways

ROUNDS = 16
"""Rounds of a measurement that counts."""
QUICK_ROUNDS = 3
"""Rounds of a look."""
REPEATS = 3
"""Pairs in a round of what has a goal, and of the noise."""
TITLE = "a unary call; client and server in one process and event loop, on loopback"
YARDSTICKS = {"bare": "bare grpc.aio", CARRIERS: "carriers, deadline", "rest": "FastAPI + httpx"}
"""How yardsticks are told."""
NAMES = {"full": "chain", "again": "noise", "rest": "chain_over_http"}
"""Names of results, where they are others than those of the ways."""
GOALS = {"chain_p50": 1.10, "chain_rate_16": 0.92, "chain_over_http_rate_16": 5.0}
MEMORY_GOAL_KB = 60
PACKAGES = (
    "fastapi", "grpc-interceptor", "httpx", "opentelemetry-instrumentation-grpc", "pybreaker", "pyjwt", "tenacity",
    "uvicorn",
)  # fmt: skip
"""What the glue and HTTP are made of."""


@dataclass(slots=True)
class Taken:
    """All that was measured."""

    p50: Measured = field(default_factory=Measured)
    """Seconds of a call, one caller."""
    rate: Measured = field(default_factory=Measured)
    """Calls a second of 16 callers."""
    cpu: Measured = field(default_factory=Measured)
    """Seconds of CPU a call, beside the same 16 callers."""
    left: dict[str, memory.Left] = field(default_factory=dict)
    """What calls leave behind."""


def pairs(names: Collection[str]) -> list[Pair]:
    """What is measured against what: HTTP is so slow that it stands between two slices of our chain instead."""
    found = [Pair(name, "bare", REPEATS) for name in ("full", "again")]
    found += [Pair(name, "bare") for name in ("glue", CARRIERS) if name in names]
    found += [Pair("rest", "full")] if "rest" in names else []
    return [*found, *(Pair(name, CARRIERS) for name in POLICIES if name in names and name != CARRIERS)]


async def take(ways: Ways, rounds: int, progress: Progress) -> Taken:
    """Measures in rounds, each beginning with something else. Single policies are measured with one caller only."""
    taken = Taken()
    every = spread(pairs(ways.calls))
    main = [pair for pair in every if pair.subject not in POLICIES]
    each = len(list(slices(every))) + len(list(slices(main)))
    task = progress.add_task("calls", total=rounds * each)
    done: Callable[[], None] = lambda: progress.advance(task)  # noqa: E731 - a word for it
    for index in range(rounds):
        await measure_round(ways.calls, rotated(every, index), p50, [taken.p50], done)
        await measure_round(ways.calls, rotated(main, index), rate, [taken.rate, taken.cpu], done)
    return taken


def compared(measured: Measured, suffix: str, better: str) -> list[Result]:
    """The ratios of all pairs, in the order in which they are told."""
    return [_compared(measured, pair, suffix, better) for pair in pairs(measured.values) if pair in measured.pairs]


def _compared(measured: Measured, pair: Pair, suffix: str, better: str) -> Result:
    name = f"{NAMES.get(pair.subject, pair.subject)}_{suffix}"
    ours, theirs, against = measured.subjects(pair), measured.yardsticks(pair), pair.yardstick
    if pair.subject == "rest":
        ours, theirs, against = theirs, ours, pair.subject
    return ratio(name, ours, YARDSTICKS[against], theirs, goal=GOALS.get(name), better=better)


def kept(left: dict[str, memory.Left]) -> list[Result]:
    """What calls leave behind, against nothing at all."""
    if not left:
        return []
    full, bare = left["full"], left["bare"]
    return [
        absolute("memory_kb_per_10k_calls", full.in_use_kb, "itself, warm", MEMORY_GOAL_KB),
        absolute("memory_kb_per_10k_calls_bare", bare.in_use_kb, "itself, warm"),
        absolute("leaked_tasks", [max(full.tasks)], "itself, warm", 0),
    ]


def results(taken: Taken) -> list[Result]:
    """Everything, as it is kept."""
    return [
        *compared(taken.p50, "p50", "lower"),
        *compared(taken.rate, "rate_16", "higher"),
        *compared(taken.cpu, "cpu_16", "lower"),
        *kept(taken.left),
    ]


def figures(taken: Taken, ways: Ways) -> list[tuple[str, str]]:
    """Plain numbers of this machine at this time, and what was not measured."""
    found = []
    for name in taken.p50.values:
        text = f"{taken.p50.middle(name) * 1e6:.0f} µs"
        if name in taken.rate.values:
            text += f", {taken.rate.middle(name):.0f} calls/s, {taken.cpu.middle(name) * 1e6:.0f} µs of CPU"
        found.append((name, text))
    for name, left in taken.left.items():
        found.append((f"{name}, resident KB more after 10,000 calls", f"{sorted(left.resident_kb)}"))
    return [*found, *not_measured(ways.missing)]


def not_measured(missing: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is missing, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in missing.items():
        by_reason.setdefault(why, []).append(name)
    return [("not measured", f"{', '.join(names)}: {why}") for why, names in by_reason.items()]


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, for a look; nothing is kept")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds, {ROUNDS} by default")
    parser.add_argument("--only", default="", help="some of: full, glue, rest, policies, memory, or a policy's name")
    parser.add_argument("--json", action="store_true", help="print the results as JSON, everything else on stderr")
    parser.add_argument("--profile", action="store_true", help="tell where the time goes instead")
    parser.add_argument("--uvloop", action="store_true", help="on uvloop; nothing is kept")
    return parser.parse_args(argv)


def wanted(only: str) -> set[str]:
    """The names that `--only` stands for; all without it."""
    names = {name.strip() for name in only.split(",") if name.strip()}
    known = {"full", "memory", *OTHERS, *POLICIES}
    if not names:
        return known
    if "policies" in names:
        names = (names - {"policies"}) | set(POLICIES)
    if names & set(POLICIES):
        names.add(CARRIERS)
    if unknown := names - known:
        sys.exit(f"not known: {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    return names


async def measure(args: argparse.Namespace, out: Console) -> None:
    """Measures, prints, and keeps what was measured whole."""
    names, ways, rounds = wanted(args.only), Ways(), QUICK_ROUNDS if args.quick else args.rounds
    with bearer() as caller, Progress(console=out, transient=True) as progress:
        async with AsyncExitStack() as stack:
            await ways.open(names, caller, stack)
            await warm(ways.calls)
            if args.profile:
                await profiling.compare(ways.calls["bare"], ways.calls["full"], out)
                return
            taken = await take(ways, rounds, progress)
        gc.unfreeze()
        if "memory" in names:
            progress.add_task("memory", total=None)
            taken.left = await memory.measured()
    found = results(taken)
    show(TITLE, found, figures(taken, ways), out=out)
    if args.json:
        print(json.dumps(content("calls", found, PACKAGES), indent=2))
    if args.only or args.quick or args.uvloop or not OTHERS.keys() <= ways.calls.keys():
        out.print("nothing kept: not everything was measured, or not as it should be")
    else:
        out.print(f"kept in {write('calls', found, PACKAGES)}")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs on the event loop that was asked for."""
    args = arguments(sys.argv[1:] if argv is None else argv)
    configure_logs("bench", "error")
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if args.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(measure(args, console(stderr=args.json)))


if __name__ == "__main__":
    main()
