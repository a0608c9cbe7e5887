"""A process dies, or stands still, at each step between commit and trim. Nothing is lost, doubled or out of order."""

from __future__ import annotations

import pytest
from trunkline.faultpoints import POINTS

from tests.faults.events.points import UNWILLING, Case, play_all, table

ZOMBIES = (
    "relay.before_xadd",
    "relay.after_xadd",
    "consumer.after_read",
    "consumer.after_commit",
    "consumer.after_ack",
)
"""Where one that stands still is taken for dead in CI; the command goes through all."""
SOON_S = 5.0
"""Seconds after a restart within which all that was committed has had its effects, where none of it fails."""


@pytest.mark.parametrize("side", ["consumer", "outbox", "relay"])
async def test_killed_at_every_point(side: str):
    """E1, E2, E3, E4, E5, E26: every point is reached, the process dies there, and the ledger is right soon after."""
    # The first commit of all would leave nothing to compare.
    nth = 5 if side == "outbox" else 1
    cases = [Case(point, nth=nth) for point in sorted(POINTS) if point.startswith(f"{side}.")]
    rows, failures = await play_all(cases)
    print(table(rows))
    assert failures == []
    assert [row.point for row in rows] == [case.point for case in cases]
    # Nothing waits for a time-out: what was left behind is found at the start.
    assert max(row.drained_s for row in rows if row.point not in UNWILLING) <= SOON_S


async def test_stopped_and_taken_for_dead():
    """E2, E6: others take over from one that stands still, and what it does when it goes on changes nothing."""
    rows, failures = await play_all([Case(point, "stop") for point in ZOMBIES])
    print(table(rows))
    assert failures == []
    assert len(rows) == len(ZOMBIES)
