"""The files of publisher and consumers are taken away and put back under traffic: everybody waits, and goes on."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from tests.faults.events.world import ROLES, World, until, world

ROUNDS = 2
"""How often each file is taken away."""
AWAY_S = 1.0


def bring_back(file: Path, kept: Path) -> None:
    """The very same file, under its name."""
    os.link(kept, file)
    kept.unlink()


def take_away(file: Path) -> Path:
    """Removes a file, and says where it is kept."""
    kept = file.with_suffix(".kept")
    os.link(file, kept)
    file.unlink()
    return kept


def told(one: World, role: str) -> int:
    """How often a role's log says that its file is away."""
    return (one.folder / f"{role}.log").read_text().count("removed or replaced")


async def test_files_are_taken_away_and_put_back(tmp_path: Path):
    """G4: no process ends; what was committed before and after has its effects, once and in order; logs say why."""
    order = [*ROLES] * ROUNDS
    random.Random(1).shuffle(order)
    async with world(tmp_path) as one:
        members = [one.start(role) for role in ROLES]
        await one.begun()
        one.trade("away")
        for role in order:
            await one.grown(10)
            before, file = told(one, role), one.folder / f"{role}.db"
            kept = await asyncio.to_thread(take_away, file)
            await until(lambda role=role, before=before: told(one, role) > before, f"{role} says so")
            await asyncio.sleep(AWAY_S)  # the fault itself
            await asyncio.to_thread(bring_back, file, kept)
        await one.grown(10)
        one.rest()
        verdict = await one.drained()
        assert [member.exit_code for member in members] == [None] * len(ROLES)
        assert verdict.committed >= 10 * len(order)
        assert max(told(one, role) for role in ROLES) <= 20 * ROUNDS * (AWAY_S + 1), "logs are filled"
        await one.end(*members)
