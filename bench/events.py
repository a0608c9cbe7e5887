"""The way of an event, beside what it is made of: `python -m bench.events`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import Progress
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.telemetry.logs import configure_logs

from bench.eventing import rival
from bench.eventing.backlog import Round, backlogs
from bench.eventing.consuming import Consuming
from bench.eventing.latency import PER_S, at, latencies, middle
from bench.eventing.relaying import Relaying
from bench.eventing.selling import STEPS, WHOLE
from bench.report import Result, absolute, console, content, ratio, show, write

ROUNDS, QUICK_ROUNDS = 9, 2
"""Rounds of a measurement that counts, and of a look."""
COUNT, SINGLE_COUNT, RIVAL_COUNT, GROWTH_COUNT = 20_000, 5_000, 3_000, 10_000
"""Events of a slice; of one in which each costs sqlite3 a flush; that FastStream takes part in; of one of many
sizes."""
BACKLOG, SHORT, QUICK_SHORT = 100_000, 3_000, 1_000
"""Events that gathered while Redis was away: the backlog, one that takes half a minute, and one for a look."""
USUAL_S, QUICK_S = 30.0, 8.0
"""Seconds of selling without a backlog before each; and for a look."""
TERMINALS, SHARDS = 100, 8
"""Keys of the events, and streams they are spread over, unless that is what is measured."""
LATENCY_S = 10.0
"""Seconds of commits at a steady pace in one round."""
GROWTH = [(shards, 100) for shards in (1, 2, 4, 8)] + [(8, terminals) for terminals in (10, 1000)]
"""(shards, terminals) that costs are measured at."""
TITLE = "events on one machine: outbox, Redis with its defaults, SQLite with synchronous=FULL"
GOALS = {
    "relay_rate": 0.6, "consumer_rate": 0.4, "consumer_rate_single": 1.0, "consumer_rate_faststream": 3.0,
    "commit_to_effect_p50_ms": 5.0, "commit_to_effect_p99_ms": 50.0, "backlog_sale_p99": 1.2,
}  # fmt: skip
PACKAGES = ("faststream",)
Way = Callable[[], Awaitable[float]]
"""One slice: gives events a second."""


@dataclass(slots=True)
class Bench:
    """What the parts share."""

    folder: Path
    """For their files."""
    redis: EmbeddedRedis
    """Emptied by each slice."""
    rounds: int
    """How often each pair is measured."""
    progress: Progress
    """Shown while they run."""
    quick: bool = False
    """It is only a look."""
    missing: list[tuple[str, str]] = field(default_factory=list)
    """What could not be measured, and why."""

    async def pairs(self, name: str, ours: Way, against: str, theirs: Way, *, noise: bool = False) -> list[Result]:
        """Slices of ours, each between two of theirs; and theirs beside themselves."""
        step = self.progress.add_task(name, total=self.rounds)
        mine, beside, first, second = [], [], [], []
        # As a service does before it serves. The events to come would be in Redis or in a file, and looked at by no
        # collection either.
        gc.collect()
        gc.freeze()
        before = await theirs()
        for _ in range(self.rounds):
            mine.append(await ours())
            after = await theirs()
            beside.append((before + after) / 2)
            first.append(before)
            second.append(after)
            before = after
            self.progress.advance(step)
        found = [ratio(name, mine, against, beside, goal=GOALS.get(name), better="higher")]
        return [*found, ratio(f"noise_{name}", second, against, first, better="higher")] if noise else found


async def relay(bench: Bench) -> list[Result]:
    """The relay beside the same bytes, sent by hand."""
    async with Relaying(bench.folder, bench.redis, count=COUNT, terminals=TERMINALS, shards=SHARDS) as relaying:
        raw = "raw XADD + PUBLISH"
        return await bench.pairs("relay_rate", relaying.relayed, raw, relaying.by_hand, noise=True)


async def consumer(bench: Bench) -> list[Result]:
    """A consumer beside sqlite3 writing the same rows, in as long transactions and in one for each event."""
    many, some = (
        Consuming(bench.folder, bench.redis, count=count, terminals=TERMINALS, shards=SHARDS)
        for count in (COUNT, SINGLE_COUNT)
    )
    return [
        *await bench.pairs("consumer_rate", many.consumed, "sqlite3, equal batches", many.in_batches, noise=True),
        *await bench.pairs("consumer_rate_single", some.consumed, "sqlite3, one by one", some.one_by_one),
    ]


async def faststream(bench: Bench) -> list[Result]:
    """A consumer beside FastStream, which keeps no inbox."""
    if not rival.installed():
        bench.missing.append(("faststream: not measured", rival.NEEDED))
        return []
    consuming = Consuming(bench.folder, bench.redis, count=RIVAL_COUNT, terminals=TERMINALS, shards=SHARDS)
    return await bench.pairs("consumer_rate_faststream", consuming.consumed, "FastStream", consuming.by_rival)


async def latency(bench: Bench) -> list[Result]:
    """From a commit to its effect in report."""
    step = bench.progress.add_task("latency", total=bench.rounds)
    p50, p99 = [], []
    for number in range(bench.rounds):
        folder = bench.folder / f"latency-{number}"
        folder.mkdir()
        redis = EmbeddedRedis(folder / "redis")
        await redis.start()
        try:
            taken = await latencies(folder, redis, LATENCY_S)
        finally:
            await redis.stop()
        p50.append(middle(taken))
        p99.append(at(taken, 0.99))
        bench.progress.advance(step)
    return [
        absolute(name, values, f"{PER_S} commits/s", GOALS[name])
        for name, values in (("commit_to_effect_p50_ms", p50), ("commit_to_effect_p99_ms", p99))
    ]


async def growth(bench: Bench) -> list[Result]:
    """How relay and consumer fare with more shards and more terminals, beside eight and a hundred."""
    found = []
    sizes = {"count": GROWTH_COUNT}
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(
            Relaying(bench.folder, bench.redis, terminals=TERMINALS, shards=SHARDS, **sizes)
        )
        eaten = Consuming(bench.folder, bench.redis, terminals=TERMINALS, shards=SHARDS, **sizes)
        usual = f"{SHARDS} shards, {TERMINALS} terminals"
        for shards, terminals in GROWTH:
            if (shards, terminals) == (SHARDS, TERMINALS):
                continue
            name = f"shards_{shards}_terminals_{terminals}"
            relaying = await stack.enter_async_context(
                Relaying(bench.folder, bench.redis, terminals=terminals, shards=shards, **sizes)
            )
            consuming = Consuming(bench.folder, bench.redis, terminals=terminals, shards=shards, **sizes)
            found += await bench.pairs(f"relay_{name}", relaying.relayed, usual, base.relayed)
            found += await bench.pairs(f"consumer_{name}", consuming.consumed, usual, eaten.consumed)
    return found


async def backlog(bench: Bench) -> list[Result]:
    """Sales in the whole shop while backlogs drain: short ones between times without, and then the long one."""
    short, count, usual_s = (QUICK_SHORT, QUICK_SHORT, QUICK_S) if bench.quick else (SHORT, BACKLOG, USUAL_S)
    step = bench.progress.add_task("backlog", total=bench.rounds + 1)
    seen = []
    async with backlogs(bench.folder / "shop") as shop:
        for _ in range(bench.rounds):
            seen.append(await shop.drain(short, usual_s))
            bench.progress.advance(step)
        whole = await shop.drain(count, usual_s)
        bench.progress.advance(step)
    return [
        *sales(seen, f"drained by {short:,}"),
        *sales([whole], f"drained by {count:,}", "_whole"),
        absolute("backlog_drained_per_s", [count / whole.drained_s], f"{count:,} events", better="higher"),
        *(absolute(f"backlog_{name}_grew_mb", [mb], f"{count:,} events") for name, mb in whole.grew_mb.items()),
    ]


def sales(seen: Sequence[Round], of: str, suffix: str = "") -> list[Result]:
    """Sales while a backlog drains beside sales without one; whole, and by their steps."""
    (usual, p99), (_, p50) = (zip(*(one.at_ms(WHOLE, share) for one in seen), strict=True) for share in (0.99, 0.5))
    found = [
        ratio(f"backlog_sale_p99{suffix}", p99, "without a backlog", usual, goal=GOALS["backlog_sale_p99"]),
        absolute(f"backlog_sale_p99_ms{suffix}", p99, of),
        absolute(f"backlog_sale_p50_ms{suffix}", p50, of),
    ]
    if suffix:
        return found
    if len(usual) > 1:
        found.append(ratio("noise_backlog_sale_p99", usual[1:], "the time before", usual[:-1]))
    for step in STEPS:
        usual, p99 = zip(*(one.at_ms(step, 0.99) for one in seen), strict=True)
        found.append(ratio(f"backlog_{step}_p99", p99, "without a backlog", usual))
    return found


PARTS = {
    "relay": relay,
    "consumer": consumer,
    "faststream": faststream,
    "latency": latency,
    "growth": growth,
    "backlog": backlog,
}
"""What is measured, by the name for `--only`."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.events", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, for a look; nothing is kept")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds, {ROUNDS} by default")
    parser.add_argument("--only", choices=PARTS, help="one part; nothing is kept")
    parser.add_argument("--json", action="store_true", help="print the results as JSON, everything else on stderr")
    return parser.parse_args(argv)


async def measure(args: argparse.Namespace, out: Console) -> None:
    """Measures, prints, and keeps what was measured whole."""
    rounds, found = QUICK_ROUNDS if args.quick else args.rounds, list[Result]()
    with TemporaryDirectory(prefix="bench-") as folder, Progress(console=out, transient=True) as progress:
        redis = EmbeddedRedis(Path(folder) / "redis")
        await redis.start()
        try:
            bench = Bench(Path(folder), redis, rounds, progress, args.quick)
            for name, part in PARTS.items():
                if args.only in (None, name):
                    found += await part(bench)
        finally:
            await redis.stop()
    show(TITLE, found, bench.missing, out=out)
    if args.json:
        print(json.dumps(content("events", found, PACKAGES), indent=2))
    if args.only or args.quick or bench.missing:
        out.print("nothing kept: not everything was measured, or not as it should be")
    else:
        out.print(f"kept in {write('events', found, PACKAGES)}")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs it."""
    args = arguments(sys.argv[1:] if argv is None else argv)
    configure_logs("bench", "error")
    asyncio.run(measure(args, console(stderr=args.json)))


if __name__ == "__main__":
    main()
