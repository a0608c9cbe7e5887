"""What calls leave behind, memory and tasks: `python -m bench.memory`, in a process of its own.

Python's own allocator is switched off there (PYTHONMALLOC), so that glibc knows of every byte that is in use, Python's
and gRPC's. The resident size says less: it moves by a hundred KB either way when nothing is kept.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trunkline.clock import SystemClock
from trunkline.settings import environment
from trunkline.telemetry.logs import configure_logs
from trunkline.telemetry.traces import TRACES

from bench.paths.bare import bare
from bench.paths.bearer import bearer
from bench.paths.chain import full
from bench.rounds import CALLERS, Call, many

PER_CALLS = 10_000
"""Growth is told for so many calls."""
TURNS = 3
"""How often they are made, after once that only fills caches."""
WINDOW_S = 60.0
"""Seconds after which what calls are remembered for is over: the budget of retries, and what breakers have seen."""
SETTLE = 100
"""Turns of the event loop after which what has ended is gone."""
_COUNTS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip
_STATM = Path("/proc/self/statm")


@dataclass(slots=True)
class Left:
    """What 10,000 calls left, each time they were made."""

    in_use_kb: list[float] = field(default_factory=list)
    """Growth of what is allocated; of the resident size where glibc does not say."""
    resident_kb: list[float] = field(default_factory=list)
    """Growth of the resident size."""
    tasks: list[int] = field(default_factory=list)
    """Tasks more than before."""


class ShiftedClock(SystemClock):
    """The machine's clock, moved on: nobody waits a minute for what is remembered for seconds."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def monotonic(self) -> float:
        """Seconds from an unknown start; never goes back."""
        return super().monotonic() + self.shift_s


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33 and newer."""

    _fields_ = [(name, ctypes.c_size_t) for name in _COUNTS]


def resident_kb() -> float:
    """Resident size of this process; 0 where the system does not say."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024 if _STATM.exists() else 0.0


def in_use_kb() -> float:
    """What is allocated from glibc; the resident size where that is not known."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return resident_kb()
    library.mallinfo2.restype = _MallInfo
    info = library.mallinfo2()
    return float(info.uordblks + info.hblkhd) / 1024


async def left_behind(call: Call, clock: ShiftedClock) -> Left:
    """Makes 10,000 calls several times, and looks each time at what is left."""
    left = Left()
    for turn in range(TURNS + 1):
        before = (in_use_kb(), resident_kb(), len(asyncio.all_tasks()))
        await many(call, PER_CALLS // CALLERS)
        await _settle(call, clock)
        if turn:
            left.in_use_kb.append(in_use_kb() - before[0])
            left.resident_kb.append(resident_kb() - before[1])
            left.tasks.append(len(asyncio.all_tasks()) - before[2])
    return left


async def _settle(call: Call, clock: ShiftedClock) -> None:
    clock.shift_s += WINDOW_S
    TRACES.flush()
    await many(call, 1)
    for _ in range(SETTLE):
        await asyncio.sleep(0)
    gc.collect()


async def measured() -> dict[str, Left]:
    """What bare calls and calls through both chains leave, found out by a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.memory",
        env={**environment(), "PYTHONMALLOC": "malloc"}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"bench.memory ended with {process.returncode}")
    return {name: Left(**values) for name, values in json.loads(printed).items()}


async def main() -> None:
    """Measures, and prints as JSON."""
    configure_logs("bench", "error")
    clock = ShiftedClock()
    with bearer() as caller:
        async with AsyncExitStack() as stack:
            calls: Mapping[str, Call] = {
                "bare": await stack.enter_async_context(bare(caller)),
                "full": await stack.enter_async_context(full(caller, clock=clock)),
            }
            left = {name: asdict(await left_behind(call, clock)) for name, call in calls.items()}
    print(json.dumps(left))


if __name__ == "__main__":
    asyncio.run(main())
