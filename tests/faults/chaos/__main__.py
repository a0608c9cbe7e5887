"""Chaos in the whole shop: processes are killed, stopped, restarted and doubled, databases are locked, every service's
way to Redis breaks, and Redis itself restarts, crashes, loses its last words or all; four tills sell. Then it heals.

`python -m tests.faults.chaos --seed 7 --minutes 5` (`make chaos SHOP=1 SEED=7 MINUTES=5`) prints its seed first, what
it does as it goes, and a table. What is done, and when, is a pure function of seed, length and `--every`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from trunkline.launcher.command import run_command

from tests.faults.chaos.running import run_chaos
from tests.faults.chaos.schedule import EVERY_S


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it; 0 only if the books were right at all times, and everything was drained in time."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="what decides everything; by chance if not given")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between two faults")
    parser.add_argument("--json", action="store_true", help="the table for scripts")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    folder = Path(tempfile.mkdtemp(prefix="shop-chaos-"))

    def told(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    told(f"seed {seed}")
    told(f"databases and logs: {folder}")

    async def run() -> int:
        report = await run_chaos(folder, seed, options.minutes * 60, told, every_s=options.every)
        table = asdict(report)
        print(json.dumps(table) if options.json else "\n".join(_shown(name, value) for name, value in table.items()))
        return 1 if report.wrong else 0

    return run_command(run())


def _shown(name: str, value: object) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{kind} {count}" for kind, count in sorted(value.items()))
    elif isinstance(value, list):
        value = "".join(f"\n  {one}" for one in value) or "nothing"
    return f"{name:14} {value}"


if __name__ == "__main__":
    sys.exit(main())
