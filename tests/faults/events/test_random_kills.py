"""Processes that are killed, or told to end, again and again at any moment: the ledger is right, and nothing waits."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.events.ledger import rows_of
from tests.faults.events.marks import GROUPS, MAKER
from tests.faults.events.world import ROLES, Member, World, until, world

FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
KILLS, ENDS = (200, 300) if FULL else (8, 8)
"""How often; with TRUNKLINE_FAULTS_FULL=1 as often as the cases say."""
pytestmark = pytest.mark.timeout(1800 if FULL else 180)
MORE = 12
"""Rows at most between the beginning of a process's work and its end."""
SOON_S = 8.0
"""Seconds beyond the time for which nobody was there within which an event has its effect, on a machine with others."""
WORK = {
    MAKER: "SELECT count(*) FROM outbox WHERE shard IS NOT NULL",
    **dict.fromkeys(GROUPS, "SELECT count(*) FROM kept"),
}
"""What shows that a role works: what was sent, or kept."""


def done(one: World, role: str) -> int:
    """How much a role has done."""
    ((count,),) = rows_of(one.folder / f"{role}.db", WORK[role])
    return int(count)


async def at_work(one: World, role: str, more: int) -> None:
    """Waits until a role has done some more."""
    before = done(one, role)
    await until(lambda: done(one, role) >= before + more, f"{role} goes on")


async def ended(member: Member, how: signal.Signals) -> None:
    """Ends a process in the midst of what it does."""
    member.signal(how)
    assert await member.ended(20) == (-how if how is signal.SIGKILL else 0)


async def end_again_and_again(one: World, roles: tuple[str, ...], how: signal.Signals, times: int) -> float:
    """Ends processes of some roles under traffic, each time another takes its place; gives the longest absence."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, absent_s = random.Random(seed), 0.0
    for role in ROLES:
        one.start(role)
    await one.begun()
    one.trade("again")
    for _ in range(times):
        role = dice.choice(roles)
        await at_work(one, role, dice.randint(1, MORE))
        (member,) = one.alive(role)
        began = time.monotonic()
        await ended(member, how)
        one.start(role)
        await at_work(one, role, 1)
        absent_s = max(absent_s, time.monotonic() - began)
    one.rest()
    return absent_s


@pytest.mark.parametrize("roles", [GROUPS, (MAKER,)], ids=["consumers", "relay"])
async def test_killed_at_any_moment(tmp_path: Path, roles: tuple[str, ...]):
    """E3, E26: kill -9 at any moment: inbox row and effect are both there or neither, and all groups get everything."""
    async with world(tmp_path) as one:
        await end_again_and_again(one, roles, signal.SIGKILL, KILLS)
        verdict = await one.drained()
        assert verdict.applied == len(GROUPS) * verdict.committed >= KILLS
        await one.end(*one.members)
        print(f"{KILLS} kills, {verdict.committed} events, lost 0, twice 0, longest wait {verdict.max_latency_s:.1f} s")


async def test_told_to_end_at_any_moment(tmp_path: Path):
    """E17: SIGTERM while it reads, or has read: what a consumer was given waits no longer than nobody was there."""
    async with world(tmp_path) as one:
        absent_s = await end_again_and_again(one, GROUPS, signal.SIGTERM, ENDS)
        verdict = await one.drained()
        assert verdict.max_latency_s <= absent_s + SOON_S
        assert verdict.applied == len(GROUPS) * verdict.committed >= ENDS
        await one.end(*one.members)
        print(f"{ENDS} ends, {verdict.committed} events, absent {absent_s:.1f} s, waited {verdict.max_latency_s:.1f} s")
