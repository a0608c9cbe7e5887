"""A group that is declared, and starts when much has been published."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.faults.events.ledger import rows_of
from tests.faults.events.marks import GROUPS, MAKER
from tests.faults.events.world import until, world


async def test_a_group_starts_late(tmp_path: Path):
    """E16: it is given everything from the first event on; until then nothing of it counts as confirmed, or goes."""
    early, late = GROUPS
    async with world(tmp_path) as scene:
        for role in (MAKER, early):
            scene.start(role)
        scene.trade("before")
        made = "SELECT id FROM made LIMIT 1 OFFSET 40"
        await until(lambda: _there(tmp_path, MAKER, made), "marks were made")
        scene.rest()
        await until(lambda: _there(tmp_path, early, "SELECT id FROM kept LIMIT 1 OFFSET 40"), "the other has them")
        assert not _there(tmp_path, MAKER, "SELECT id FROM outbox WHERE confirmed")
        scene.start(late)
        await scene.begun()
        verdict = await scene.drained()
        assert verdict.applied == 2 * verdict.committed > 80


def _there(folder: Path, role: str, query: str) -> bool:
    try:
        return bool(rows_of(folder / f"{role}.db", query))
    except sqlite3.OperationalError:
        return False  # it is not there yet
