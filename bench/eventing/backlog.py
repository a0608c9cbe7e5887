"""A backlog drains while the shop goes on selling: what a sale takes meanwhile, and what memory everybody needs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.launcher.launch import Launched
from trunkline.launcher.ports import free_port, free_range
from trunkline.launcher.system import REDIS
from trunkline.settings import PlatformSettings

from bench.eventing.feed import TOPIC, fill_outbox, opened
from bench.eventing.latency import at
from bench.eventing.selling import Selling, Sold, selling
from deploy.local.settings import LocalSettings
from deploy.local.start import started
from deploy.local.system import SERVICES
from services.cart.storage.tables import METADATA

TERMINALS = 100
"""Terminals of the backlog, of a tenant beside the demo shop."""
WARM_S = 10.0
"""Seconds of selling before the first round."""
DRAIN_S = 2400.0
"""Seconds that a drain may take."""
LOOK_S = 0.25
"""Seconds between two looks at how far it is, and at memory."""
PUBLISHER = TOPIC.publisher
GROUPS = sorted(TOPIC.groups)
"""Who has to have all of it."""


@dataclass(slots=True)
class Round:
    """What was seen in one round."""

    usual: Sold
    """Sales without a backlog."""
    draining: Sold = field(default_factory=Sold)
    """Sales while it drained."""
    drained_s: float = 0.0
    """Seconds from the first effect to the last."""
    grew_mb: dict[str, float] = field(default_factory=dict)
    """Service → by how much its memory grew at most."""

    def at_ms(self, step: str, share: float) -> tuple[float, float]:
        """What a share of the steps of a kind does not exceed: usually, and while it drained."""
        return at(sorted(self.usual.took_ms[step]), share), at(sorted(self.draining.took_ms[step]), share)


class Backlogs:
    """A shop that sells, with everything of it as a process of its own, and backlogs in its cart's outbox."""

    def __init__(self, running: Launched, selling: Selling, var_dir: Path) -> None:
        self._running = running
        self._selling = selling
        self._var_dir = var_dir
        self._published = 0

    async def drain(self, count: int, usual_s: float) -> Round:
        """Sells as usual; then lets a backlog gather while Redis is away, and sells while it drains."""
        seen = Round(await self._selling.sell_for(usual_s))
        await asyncio.to_thread(self._running.supervisor.stop, REDIS)
        async with opened(self._var_dir / PUBLISHER / f"{PUBLISHER}.db", METADATA) as database:
            await fill_outbox(database, count, TERMINALS, after=self._published)
        self._published += count
        before, memory = self._done(), _Memory(self._pids())
        await asyncio.to_thread(self._running.supervisor.start, REDIS)
        async with asyncio.timeout(DRAIN_S):
            # In an outage sales go on; what they take until the backlog begins to move is not counted.
            await self._selling.sell(lambda: self._done() > before)
            began, over = time.monotonic(), asyncio.Event()
            draining = asyncio.create_task(self._selling.sell(over.is_set))
            try:
                # Threads look: this one has its clock in its hand.
                while not await asyncio.to_thread(self._all_done):
                    await asyncio.to_thread(memory.look)
                    await asyncio.sleep(LOOK_S)
                seen.drained_s = time.monotonic() - began
            finally:
                over.set()
                seen.draining = await draining
        seen.grew_mb = memory.grew_mb
        return seen

    def _all_done(self) -> bool:
        """Whether every group has everything of the backlog: how far they are, each key in its order."""
        return all(self._reached(group) == self._published for group in GROUPS)

    def _done(self) -> int:
        return sum(self._reached(group) for group in GROUPS)

    def _reached(self, group: str) -> int:
        return self._ask(group, "SELECT sum(number) FROM consumer_position WHERE key LIKE 'bench/%'")

    def _ask(self, service: str, query: str) -> int:
        address = f"file:{self._var_dir / service / service}.db?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=5.0, isolation_level=None)) as connection:
            row = connection.execute(query).fetchone()
        return row[0] or 0 if row else 0

    def _pids(self) -> Mapping[str, int]:
        """Processes of those that are concerned."""
        return {one.name: one.pid for one in self._running.supervisor.states() if one.name in {PUBLISHER, *GROUPS}}


class _Memory:
    """By how much processes grow, at most."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = {name: _rss_mb(pid) for name, pid in pids.items()}
        self.grew_mb = dict.fromkeys(pids, 0.0)

    def look(self) -> None:
        for name, pid in self._pids.items():
            self.grew_mb[name] = max(self.grew_mb[name], _rss_mb(pid) - self._before[name])


@asynccontextmanager
async def backlogs(folder: Path) -> AsyncIterator[Backlogs]:
    """A shop with all its processes, in a folder of its own, its terminals open and warm."""
    settings = PlatformSettings(profile="development", var_dir=folder, redis_url="")
    local = LocalSettings(base_port=free_range(len(SERVICES)), redis_port=free_port())
    async with started(settings, local) as running, selling(running.system, settings) as sellers:
        await sellers.sell_for(WARM_S)
        yield Backlogs(running, sellers, folder)


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
