"""What one tenant is told does not depend on what others are called, have, or do."""

from __future__ import annotations

import asyncio

import pytest
from trunkline import headers

from tests.faults.isolation.cases import in_turn
from tests.faults.isolation.contract import Rpc
from tests.faults.isolation.databases import rows_with
from tests.faults.isolation.filling import Names, filled
from tests.faults.isolation.rows import ACCESS_DENIED, ROWS
from tests.faults.isolation.stage import Stage, Tenant
from tests.faults.isolation.story import selling
from tests.faults.isolation.wire import Answer

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.asyncio(loop_scope="package")]
SENDERS = ("office", "till", "peer")
"""Not the user: what is done to him may end his token, at some moment."""
OF_NOBODY = "trunk."
"""Packages of the platform: what they tell is no tenant's, and the sweep looks at them."""


async def _own(stage: Stage, tenant: Tenant, rpc: Rpc, sender: str, key: str) -> Answer:
    """The answer to a call about the tenant's own things."""
    request = filled(rpc, tenant.names, ROWS[rpc.name].fields)
    metadata = (*tenant.senders[sender].metadata, (headers.IDEMPOTENCY_KEY, key))
    return await stage.wire.call(rpc, request, metadata)


@pytest.mark.usefixtures("unchanged")
async def test_names_that_two_tenants_share(stage: Stage):
    """D10: Of two tenants that did the same, one with all of A's names: all that they do ends alike, in A nothing."""
    found: list[str] = []
    blind: list[str] = []
    for rpc in (one for one in in_turn(stage.rpcs) if not one.name.startswith(OF_NOBODY)):
        outcomes: set[str] = set()
        for sender in SENDERS:
            key = f"alike/{sender}/{rpc.name}"
            same = await _own(stage, stage.same, rpc, sender, key)
            alike = await _own(stage, stage.alike, rpc, sender, key)
            told, expected = same.without(stage.same.names), alike.without(stage.alike.names)
            outcomes.add(same.outcome)
            if told != expected:
                found.append(f"{sender}: {rpc.name}:\n  {told}\n  under names of its own:\n  {expected}")
            if stage.a.text.encode() in same.raw:
                found.append(f"{sender}: {rpc.name}: the answer holds a text of A")
        row = ROWS[rpc.name]
        if row.outcome.startswith("NOT_FOUND") and not outcomes - {row.outcome, ACCESS_DENIED}:
            blind.append(f"{rpc.name} ends for an owner as for a stranger: {outcomes}")
    assert not found, "\n".join(found)
    assert not blind, "\n".join(blind)


async def test_what_others_do(stage: Stage):
    """D10: A sells on; what others read stays as it was, also under A's names, and no row of theirs has its texts."""
    tenants = {one.tenant_id: one for one in (stage.b, stage.same, stage.empty)}
    names = {name: {**stage.a.names, **tenant.names} for name, tenant in tenants.items()}
    before = {name: await _reads(stage, tenant, names[name]) for name, tenant in tenants.items()}
    await stage.play(stage.a, selling(3))
    await stage.settled()
    for name, tenant in tenants.items():
        assert await _reads(stage, tenant, names[name]) == before[name]
    # Late sends what A has sent (`test_keys_of_another_tenant`).
    beside = (stage.a.tenant_id, stage.late.tenant_id)
    assert await asyncio.to_thread(rows_with, stage.shop.var_dir, stage.a.text, beside=beside) == []


async def _reads(stage: Stage, tenant: Tenant, names: Names) -> list[tuple[str, str, Answer]]:
    told = []
    for rpc in in_turn(stage.rpcs):
        if rpc.reads and not rpc.name.startswith(OF_NOBODY):
            request = filled(rpc, names, ROWS[rpc.name].fields)
            for sender in SENDERS:
                answer = await stage.wire.call(rpc, request, tenant.senders[sender].metadata)
                told.append((rpc.name, sender, answer.without({})))
    return told
