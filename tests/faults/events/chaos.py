"""Chaos: kills, stops, resets, a Redis that restarts or forgets, databases that are away, under load; then it heals.

`python -m tests.faults.events.chaos --seed 7 --minutes 5` (`make chaos SEED=7 MINUTES=5`) prints its seed first, what
it does as it goes, and a table. What happens, and when, is a pure function of seed and length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trunkline.testing.fault_proxy import FaultProxy

from tests.faults.events.faulting import Faulting
from tests.faults.events.world import ROLES, World, world

EVERY_S = 2.0
"""Seconds between two faults."""
LOOK_S = 1.0
"""Seconds between two looks at the ledger while faults go on."""
HEAL_S = 30.0
"""Seconds after the last fault is over within which everything must be drained."""
MEMBERS = 2
"""Processes of each role."""
KINDS = {
    "kill": 5,
    "stop": 4,
    "reset": 3,
    "restart_redis": 2,
    "crash_redis": 1,
    "shorten_redis": 1,
    "empty_redis": 1,
    "stop_redis": 1,
    "lock_database": 2,
    "half": 2,
    "blackhole": 1,
    "latency": 1,
}
"""What may happen, and how often compared with the others."""
LONGEST_S = {"kill": 1.0, "stop": 6.0, "lock_database": 4.0, "half": 1.0, "blackhole": 4.0}
"""Seconds a fault takes at most, where it is not three."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens."""

    at_s: float
    """Seconds after the beginning."""
    kind: str
    """What it is, of KINDS."""
    role: str
    """Whom it concerns, where it concerns a process or its database."""
    which: int
    """Which of its processes."""
    for_s: float
    """Seconds until it is over."""


@dataclass(slots=True)
class Report:
    """What came of a run."""

    seed: int
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    committed: int = 0
    applied: int = 0
    dead: int = 0
    lost: int = 0
    twice: int = 0
    out_of_order: int = 0
    looks: int = 0
    """Times the ledger was looked at while faults went on."""
    max_latency_s: float = 0.0
    drained_s: float = 0.0
    """Seconds from the end of the last fault until everything was drained."""


def schedule(seed: int, seconds: float) -> list[Fault]:
    """What happens, and when."""
    chance, faults, at_s = random.Random(seed), list[Fault](), 1.0
    while at_s < seconds:
        (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
        for_s = round(chance.uniform(0.2, LONGEST_S.get(kind, 3.0)), 2)
        faults.append(Fault(round(at_s, 2), kind, chance.choice(ROLES), chance.randrange(MEMBERS), for_s))
        at_s += EVERY_S * chance.uniform(0.5, 1.5)
    return faults


async def run_chaos(folder: Path, seed: int, seconds: float, told: Callable[[str], object] = lambda _: None) -> Report:
    """Runs a schedule in a world of its own.

    Raises:
        AssertionError: something was lost, applied twice or out of order, or was not drained in time.
    """
    report = Report(seed, seconds)
    async with world(folder) as scene, FaultProxy("127.0.0.1", scene.redis.port) as proxy:
        scene.url = f"redis://{proxy.target}/0"
        for role in ROLES:
            for _ in range(MEMBERS):
                scene.start(role)
        scene.trade("begin", "unwilling")
        await scene.begun()
        await scene.grown(20)
        faulting = Faulting(scene, proxy)
        watching = asyncio.create_task(_watch(scene, report))
        await _inflict(scene, faulting, schedule(seed, seconds), report, told)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if not watching.cancelled() and (error := watching.exception()) is not None:
            raise error
        await _settle(scene, report, told)
    return report


async def _inflict(
    scene: World, faulting: Faulting, faults: Sequence[Fault], report: Report, told: Callable[[str], object]
) -> None:
    began, running, happened = time.monotonic(), list[asyncio.Task[None]](), Counter[str]()
    for number, fault in enumerate(faults):
        await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
        told(f"{fault.at_s:6.1f} s  {fault.kind} {fault.role}/{fault.which} for {fault.for_s} s")
        if number % 5 == 0:
            scene.trade(f"r{number}", "unwilling" if number % 10 == 0 else "willing")
        running.append(asyncio.create_task(faulting.inflict(fault.kind, fault.role, fault.which, fault.for_s)))
        happened[fault.kind] += 1
    await asyncio.gather(*running)
    report.faults = dict(happened)


async def _watch(scene: World, report: Report) -> None:
    """Safety at all times: the ledger is right while everything breaks."""
    while True:
        verdict = await asyncio.to_thread(scene.judge)
        assert not verdict.unsafe, "\n".join(verdict.unsafe[:20])
        report.looks += 1
        await asyncio.sleep(LOOK_S)


async def _settle(scene: World, report: Report, told: Callable[[str], object]) -> None:
    began = time.monotonic()
    scene.rest()
    told("        all is whole again")
    verdict = await scene.drained(HEAL_S)
    report.drained_s = round(time.monotonic() - began, 2)
    report.committed, report.applied, report.dead = verdict.committed, verdict.applied, verdict.dead
    report.lost, report.twice, report.out_of_order = len(verdict.lost), len(verdict.twice), len(verdict.out_of_order)
    report.max_latency_s = round(verdict.max_latency_s, 2)
    await scene.end(*(member for role in ROLES for member in scene.alive(role)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it; 0 only if the ledger was right at all times, and everything was drained in time."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.events.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="what decides everything; by chance if not given")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--json", action="store_true", help="the table for scripts")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", file=sys.stderr, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"databases and logs: {folder}", file=sys.stderr, flush=True)

    def told(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        report = asdict(asyncio.run(run_chaos(folder, seed, options.minutes * 60, told)))
    except AssertionError as error:
        print(f"seed {seed}: {error}")
        return 1
    if options.json:
        print(json.dumps(report))
    else:
        print("\n".join(f"{name:14} {value}" for name, value in report.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
