"""What is answered alike takes alike long, too."""

from __future__ import annotations

import statistics

import pytest
from google.protobuf.message import Message

from tests.faults.isolation.cases import Case, cases, in_turn
from tests.faults.isolation.rows import ROWS
from tests.faults.isolation.stage import Stage
from tests.faults.isolation.wire import Sender

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.asyncio(loop_scope="package")]
REPEATS, ROUNDS = 15, 4
"""Calls of each kind in a round; rounds in which a difference must stand, all in one direction, to be one."""
NOISE_S, NOISE_SHARE = 0.002, 0.4
"""Differences of medians that a crowded machine makes: less than these together are none."""


@pytest.mark.usefixtures("unchanged")
async def test_time_tells_nothing(stage: Stage):
    """D10: Medians of interleaved reads of another's things and of nothing differ by no more than noise; PINs too."""
    found: list[str] = []
    timed = 0
    for case in cases(in_turn(stage.rpcs), stage.alike.names, stage.a.names, stage.ghosts):
        row = ROWS[case.rpc.name]
        if not case.whole or not case.foreign or not (case.rpc.reads if row.timed is None else row.timed):
            continue
        sender = await _who_gets(stage, case, row.outcome)
        difference = await _difference(stage, case, sender)
        timed += 1
        if difference:
            found.append(f"{sender.name}: {case}: {difference}")
    print(f"{timed} rpcs timed")
    assert not found, "\n".join(found)


async def _who_gets(stage: Stage, case: Case, outcome: str) -> Sender:
    """Who is told the outcome, and not that the rpc is none of his."""
    for sender in stage.alike.senders.values():
        if (await stage.wire.call(case.rpc, case.requests()[0], sender.metadata)).outcome == outcome:
            return sender
    raise AssertionError(f"{case}: nobody gets {outcome}")


async def _difference(stage: Stage, case: Case, sender: Sender) -> str:
    """The difference that stands in every round, or nothing."""
    told: list[str] = []
    sides: set[bool] = set()
    for _ in range(ROUNDS):
        one_s, other_s = await _medians_s(stage, case, sender)
        if abs(one_s - other_s) <= NOISE_S + NOISE_SHARE * min(one_s, other_s):
            return ""
        sides.add(one_s > other_s)
        told.append(f"{one_s * 1000:.1f} ms against {other_s * 1000:.1f} ms where nothing is")
    return "; ".join(told) if len(sides) == 1 else ""


async def _medians_s(stage: Stage, case: Case, sender: Sender) -> tuple[float, float]:
    requests = case.requests()
    took_s: tuple[list[float], list[float]] = ([], [])
    for number in range(REPEATS):
        # Whoever comes first may find things cold.
        for side in (0, 1) if number % 2 else (1, 0):
            took_s[side].append(await _took_s(stage, case, sender, requests[side]))
    return statistics.median(took_s[0]), statistics.median(took_s[1])


async def _took_s(stage: Stage, case: Case, sender: Sender, request: Message) -> float:
    return (await stage.wire.timed(case.rpc, request, sender.metadata))[1]
