"""Everything breaks at once, by a schedule that a seed decides; then it heals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.events.chaos import EVERY_S, KINDS, run_chaos, schedule

SEED = 38
SECONDS = 20.0
"""`make chaos` runs for minutes."""


def test_a_seed_decides_everything():
    """The same seed does the same at the same times, another one something else."""
    assert schedule(SEED, 300) == schedule(SEED, 300)
    assert schedule(SEED, 300) != schedule(SEED + 1, 300)
    assert {fault.kind for fault in schedule(SEED, 300)} == set(KINDS)
    assert len(schedule(SEED, 300)) >= 300 / (EVERY_S * 1.5)


@pytest.mark.timeout(180)
async def test_chaos(tmp_path: Path):
    """E28: safe at all times; everything is drained within thirty seconds after the last fault."""
    report = await run_chaos(tmp_path, SEED, SECONDS, print)
    print(report)
    assert (report.lost, report.twice, report.out_of_order) == (0, 0, 0)
    assert report.looks > 5
    assert report.applied + report.dead == 2 * report.committed > 200
