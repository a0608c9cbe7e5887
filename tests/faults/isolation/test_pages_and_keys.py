"""What a tenant was given is worth nothing to another: page tokens, idempotency keys, ids."""

from __future__ import annotations

import json

import pytest
from trunkline import headers

from tests.faults.isolation.cases import in_turn
from tests.faults.isolation.contract import Rpc
from tests.faults.isolation.filling import filled
from tests.faults.isolation.rows import ROWS
from tests.faults.isolation.stage import Stage, Tenant
from tests.faults.isolation.wire import Answer

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.asyncio(loop_scope="package")]
JUNK = "bm90IGEgdG9rZW4gb2YgYW55IGxpc3Q="
REFUSED = "INVALID_ARGUMENT pos.type/PAGE_TOKEN_INVALID"


@pytest.mark.usefixtures("unchanged")
async def test_page_tokens_of_another_tenant(stage: Stage):
    """D10: A's page tokens, for its names and for one's own, also where both have them, are refused as junk is."""
    # Those of the platform are for services: that their tokens are bound is shown in tests/trunkline/events.
    shown = (rpc for rpc in in_turn(stage.rpcs) if not rpc.name.startswith("trunk."))
    lists = [rpc for rpc in shown if "page_token" in rpc.request.fields_by_name]
    assert lists
    for rpc in lists:
        token = json.loads((await _page(stage, rpc, stage.a, stage.a)).body).get("nextPageToken")
        assert token, f"{rpc.name} of A has no second page: see story.py"
        for caller in (stage.b, stage.same):
            used = await _page(stage, rpc, caller, caller, token)
            assert used.outcome == REFUSED, rpc.name
            assert used == await _page(stage, rpc, caller, caller, JUNK)
        used = await _page(stage, rpc, stage.b, stage.a, token)
        assert used == await _page(stage, rpc, stage.b, stage.a, JUNK)
        assert used.code != "OK", rpc.name


async def _page(stage: Stage, rpc: Rpc, caller: Tenant, of: Tenant, token: str = "") -> Answer:
    request = filled(rpc, of.names, {**ROWS[rpc.name].fields, "page_size": 1, "page_token": token})
    return await stage.wire.call(rpc, request, caller.senders["office"].metadata)


@pytest.mark.usefixtures("unchanged")
async def test_keys_of_another_tenant(stage: Stage):
    """D10: All that A did, sent again by another to the byte and under A's keys, is answered as under a new key."""
    assert {told.sender for told in stage.a.told} == {"office", "till"}
    used = {told.key for told in stage.late.told}
    changes = [told for told in stage.a.told if not told.rpc.reads and told.key not in used]
    for number, told in enumerate(changes):
        metadata = stage.late.senders[told.sender].metadata
        under_as = (*metadata, (headers.IDEMPOTENCY_KEY, told.key))
        under_new = (*metadata, (headers.IDEMPOTENCY_KEY, f"new/{number}"))
        answer = await stage.wire.call(told.rpc, told.request, under_as)
        assert headers.REPLAYED not in answer.trailers
        assert not answer.given & told.answer.given
        if answer.code != "OK":
            assert answer == await stage.wire.call(told.rpc, told.request, under_new)
