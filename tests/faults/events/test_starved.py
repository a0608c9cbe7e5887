"""A machine that is too busy: whoever is slow there is not taken for dead, and keeps what is its own."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.events.ledger import rows_of
from tests.faults.events.marks import GROUPS, MAKER
from tests.faults.events.world import ROLES, World, until, world
from tests.faults.lifecycle.test_starved import burning

FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
SECONDS = 120.0 if FULL else 6.0
"""How long; with TRUNKLINE_FAULTS_FULL=1 two minutes."""
pytestmark = [pytest.mark.timeout(SECONDS + 120), pytest.mark.xdist_group("fault-starved")]
DEATHS = ("a worker is dead", "this process was taken for dead", "shards are another process's now")
"""What is logged where a lease is lost."""


def leases(one: World) -> dict[str, dict[str, tuple[str | None, int]]]:
    """Role → name of each lease → who has it, and for the how manieth time it was taken."""
    query = "SELECT name, worker_id, term FROM lease"
    return {
        role: {name: (owner, term) for name, owner, term in rows_of(one.folder / f"{role}.db", query)} for role in ROLES
    }


def shared(one: World) -> bool:
    """Whether somebody relays, and both processes of each group have half of the shards."""
    found = leases(one)
    names = {group: [f"consumer/{group}/marks/{shard}" for shard in range(4)] for group in GROUPS}
    owners = [Counter(found[group].get(name, (None,))[0] for name in names[group]) for group in GROUPS]
    relaying = {owner for owner, _ in found[MAKER].values()}
    return all(None not in each and sorted(each.values()) == [2, 2] for each in owners) and bool(relaying - {None})


def told(one: World) -> list[str]:
    """Lines of all logs that tell of a loss."""
    lines = [line for role in ROLES for line in (one.folder / f"{role}.log").read_text().splitlines()]
    return [line for line in lines if any(what in line for what in DEATHS)]


async def test_no_lease_is_lost_for_want_of_time(tmp_path: Path):
    """H6: four busy loops on the same cores under traffic: not one lease changes hands, and the ledger is right."""
    async with world(tmp_path) as one:
        for role in ROLES:
            one.start(role)
        await one.begun()
        for role in ROLES:
            one.start(role, quiet=True)
        await until(lambda: shared(one), "everything is shared evenly")
        before = leases(one)
        one.trade("busy")
        with burning(SECONDS + 10.0):
            await asyncio.sleep(SECONDS)  # what happens meanwhile is the subject
            assert leases(one) == before
        one.rest()
        verdict = await one.drained()
        assert leases(one) == before
        assert told(one) == []
        assert verdict.committed > SECONDS, "hardly anything was done"
        await one.end(*one.members)
        print(f"{verdict.committed} events, {sum(map(len, before.values()))} leases, none lost")
