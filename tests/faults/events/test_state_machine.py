"""A state machine of one outbox, the streams of a topic and two groups. The code that decides is the real one."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.faults.events.ledger import judge
from tests.faults.events.machine import Bench, MakerProcess
from tests.faults.events.marks import FINE, GROUPS, MAKER

groups = st.sampled_from(GROUPS)
MEMORY = Path("/dev/shm")
"""Where there is such a folder: no process of these ends in truth, so nothing needs a disk."""
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "40"))
"""Stories that are told; more with MACHINE_EXAMPLES, and then other ones each time."""
# A time limit that is over in the middle of a story looks like one that fails now and then.
pytestmark = pytest.mark.timeout(60 + 3 * EXAMPLES)
HEALING = 120
"""Rounds of work in which all must be settled once nothing breaks any more."""


class EventPath(RuleBasedStateMachine):
    """Everything that may happen to an event between its commit and its effects, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._folder = Path(tempfile.mkdtemp(prefix="machine-", dir=MEMORY if MEMORY.is_dir() else None))
        self._marks = 0
        self._bench = self._make()
        self._run(self._bench.open())

    def teardown(self) -> None:
        """Heals, and finds everything settled."""
        try:
            self._run(self._heal())
            verdict = judge(self._folder)
            assert verdict.complaints == []
            assert verdict.applied == 2 * verdict.committed == 2 * self._marks
        finally:
            self._run(self._bench.close())
            self._loop.close()
            shutil.rmtree(self._folder)

    @invariant()
    def safe(self) -> None:
        """Nothing is ever applied twice, out of order, or without having been committed."""
        assert judge(self._folder).unsafe == []

    @rule(
        key=st.sampled_from("abc"),
        events=st.integers(1, 4),
        fails=st.sampled_from([0, 0, 0, 0, 1, 2]),
        sent=st.sampled_from([True, True, True, False]),
        to=st.sets(groups),
    )
    def commit(self, key: str, events: int, fails: int, sent: bool, to: set[str]) -> None:
        """Some events of a key, which perhaps fail at first; mostly they are on their way at once."""
        for _ in range(events):
            self._marks += 1
            self._run(self._bench.commit(key, f"{FINE}:{self._marks}", fails))
        if sent:
            self.relay_sends()
        for group in sorted(to):
            self.deliver(group)

    @initialize(fails=st.lists(st.sampled_from([0, 0, 0, 1]), min_size=3, max_size=3))
    def begin(self, fails: list[int]) -> None:
        """There is always something that can be lost."""
        for key, times in zip("abc", fails, strict=True):
            self.commit(key, 2, times, sent=True, to=set())

    def _something(self) -> None:
        """Faults are no use where nothing is under way."""
        self.commit("abc"[self._marks % 3], 2, 0, sent=True, to={GROUPS[self._marks // 2 % 2]})

    @rule()
    def work(self) -> None:
        """A round of what goes on all the time."""
        self.relay_sends()
        for group in GROUPS:
            self.deliver(group)
        self.relay_compares()

    @rule()
    def relay_sends(self) -> None:
        """A batch."""
        maker = self._bench.maker
        self._run(self._bench.do(maker, maker.send))

    @rule()
    def relay_compares(self) -> None:
        """And confirms, and trims what is confirmed by all and old enough."""
        maker = self._bench.maker
        self._run(self._bench.do(maker, maker.compare))

    @rule(group=groups)
    def deliver(self, group: str) -> None:
        """A batch to a group."""
        keeper = self._bench.keepers[group]
        self._run(self._bench.do(keeper, keeper.deliver))

    @rule(group=groups)
    def look(self, group: str) -> None:
        """A quiet consumer looks for what was left over."""
        keeper = self._bench.keepers[group]
        self._run(self._bench.do(keeper, keeper.look))

    @rule(group=groups, entries=st.integers(1, 6))
    def deliver_again(self, group: str, entries: int) -> None:
        """Redis forgets what it gave to a group."""
        self._something()
        self._bench.server.deliver_again(group, entries)

    @rule(after=st.sampled_from(["append", "trim"]), undead=st.booleans())
    def relay_crashes(self, after: str, undead: bool) -> None:
        """Between what Redis did and the mark of it; or it stands still, and is taken for dead."""
        self._something()
        maker = self._bench.maker
        if not undead:
            maker.link.crash_after = after
            self._run(self._bench.do(maker, maker.send if after == "append" else maker.compare))
        self._run(self._bench.replace(MAKER, undead=undead))

    @rule(group=groups, after=st.sampled_from(["read", "commit"]), undead=st.booleans())
    def consumer_crashes(self, group: str, after: str, undead: bool) -> None:
        """After the read, so before its effects; or after their commit. Or it stands still, and another claims."""
        self._something()
        keeper = self._bench.keepers[group]
        if not undead:
            keeper.link.crash_after = after
            self._run(self._bench.do(keeper, keeper.deliver))
        self._run(self._bench.replace(group, undead=undead))

    @precondition(lambda self: self._bench.zombies)
    @rule(which=st.integers(0, 9))
    def zombie_goes_on(self, which: int) -> None:
        """One that was taken for dead does what it was about to do."""
        self._something()
        zombie = self._bench.zombies[which % len(self._bench.zombies)]
        self._run(self._bench.do(zombie, zombie.send if isinstance(zombie, MakerProcess) else zombie.deliver))

    @rule()
    def stream_is_lost(self) -> None:
        """Redis restarts empty."""
        self._something()
        self._bench.server.lose_all()

    @rule(entries=st.integers(1, 5))
    def tail_is_lost(self, entries: int) -> None:
        """Redis restarts without its last entries."""
        self._something()
        self._bench.server.lose_tail(entries)

    @rule(seconds=st.sampled_from([0.05, 1.0, 5.0, 31.0]))
    def tick(self, seconds: float) -> None:
        """Time passes."""
        self._bench.tick(seconds)

    async def _heal(self) -> None:
        bench = self._bench
        for _ in range(HEALING):
            await bench.do(bench.maker, bench.maker.send)
            for keeper in bench.keepers.values():
                await bench.do(keeper, keeper.deliver)
                await bench.do(keeper, keeper.look)
            await bench.do(bench.maker, bench.maker.compare)
            if not judge(self._folder).complaints:
                return
            bench.tick(1.0)

    def _make(self) -> Bench:
        async def make() -> Bench:
            return Bench(self._folder)

        return self._loop.run_until_complete(make())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._loop.run_until_complete(work)


TestEventPath = EventPath.TestCase
TestEventPath.settings = settings(
    max_examples=EXAMPLES,
    # Shorter stories are worth minutes to whoever looks for a fault, and not to CI.
    phases=[Phase.generate],
    stateful_step_count=30,
    deadline=None,
    derandomize="MACHINE_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
