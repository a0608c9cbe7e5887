"""The tenant of a call is that of its token, whatever else the call says."""

from __future__ import annotations

import itertools

import pytest
from trunkline import headers

from tests.faults.isolation.cases import in_turn
from tests.faults.isolation.contract import Rpc
from tests.faults.isolation.filling import filled, named
from tests.faults.isolation.rows import FOREIGN, ROWS
from tests.faults.isolation.stage import Stage, Tenant
from tests.faults.isolation.wire import Answer, Metadata

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.asyncio(loop_scope="package")]
REFUSED = "PERMISSION_DENIED trunk/METADATA_REFUSED"
MISSING, INVALID = "UNAUTHENTICATED trunk/TOKEN_MISSING", "UNAUTHENTICATED trunk/TOKEN_INVALID"
SIGN_IN = "trunk.identity.v1.IdentityService/SignIn"


def _token(tenant: Tenant, sender: str) -> str:
    return dict(tenant.senders[sender].metadata)[headers.AUTHORIZATION].removeprefix("Bearer ")


def _named(stage: Stage) -> list[Metadata]:
    """Ways to name a tenant or a caller beside one's own token: A's, one's own, and both at once."""
    tenants = [((headers.TENANT, one.tenant_id),) for one in (stage.a, stage.b)]
    callers = [((headers.CALLER, _token(one, "office")),) for one in (stage.a, stage.b)]
    return [*tenants, *callers, tenants[0] + callers[0]]


async def _told(stage: Stage, rpc: Rpc, metadata: Metadata, of: Tenant) -> Answer:
    return await stage.wire.call(rpc, filled(rpc, of.names, ROWS[rpc.name].fields), metadata)


@pytest.mark.usefixtures("unchanged")
async def test_only_services_name_tenants_and_callers(stage: Stage):
    """D9: `trunk-tenant` and `trunk-caller` from anybody but a service are refused by every rpc, even if true."""
    calls = 0
    for rpc, extra in itertools.product(in_turn(stage.rpcs), _named(stage)):
        for sender in ("office", "till", "user"):
            metadata = (*stage.b.senders[sender].metadata, *extra)
            assert (await _told(stage, rpc, metadata, stage.a)).outcome == REFUSED, f"{sender}: {rpc.name}: {extra}"
            calls += 1
        assert (await _told(stage, rpc, extra, stage.a)).outcome in {REFUSED, MISSING}, f"nobody: {rpc.name}: {extra}"
    print(f"{calls} calls with somebody named")


@pytest.mark.usefixtures("unchanged")
async def test_what_services_may_not_name(stage: Stage):
    """D9: A service that names caller and tenant, a service, junk or a tenant that is no id is refused everywhere."""
    peer = stage.b.senders["peer"].metadata[:1]
    own, caller = dict(peer)[headers.AUTHORIZATION].removeprefix("Bearer "), _token(stage.b, "till")
    refused: dict[Metadata, str] = {
        ((headers.CALLER, caller), (headers.TENANT, stage.b.tenant_id)): REFUSED,
        ((headers.CALLER, caller), (headers.TENANT, stage.a.tenant_id)): REFUSED,
        ((headers.CALLER, own),): REFUSED,
        ((headers.CALLER, f"{caller[:-4]}AAAA"),): INVALID,
        ((headers.CALLER, stage.a.tenant_id),): INVALID,
    }
    refused |= {((headers.TENANT, tenant),): REFUSED for tenant in ("", "a/b", "../a", "a b", "a" * 65, "%")}
    for rpc, (extra, outcome) in itertools.product(in_turn(stage.rpcs), refused.items()):
        assert (await _told(stage, rpc, (*peer, *extra), stage.a)).outcome == outcome, f"{rpc.name}: {extra}"


@pytest.mark.usefixtures("unchanged")
async def test_a_forwarded_caller_decides_the_tenant(stage: Stage):
    """D9: For a caller whom a service forwards, each read is answered as to that caller itself; A's things included."""
    peer = stage.b.senders["peer"].metadata[:1]
    for rpc in (one for one in in_turn(stage.rpcs) if one.reads and not one.name.startswith("trunk.")):
        for sender, of in itertools.product(("office", "till"), (stage.a, stage.b)):
            metadata = (*peer, (headers.CALLER, _token(stage.b, sender)))
            forwarded = await _told(stage, rpc, metadata, of)
            itself = await _told(stage, rpc, stage.b.senders[sender].metadata, of)
            # Only to a service more is open, for whomever it works.
            if not (itself.reason == "trunk/ACCESS_DENIED" and rpc.name == "pos.store.v1.StaffService/VerifyStaffPin"):
                assert forwarded.without({}) == itself.without({}), f"{sender}: {rpc.name}"


@pytest.mark.usefixtures("unchanged")
async def test_a_tenant_in_the_request(stage: Stage):
    """D9: Where a request names a tenant, another one than the token's is refused; only sign-in has no token yet."""
    with_tenant = [
        rpc for rpc in in_turn(stage.rpcs) if "tenant_id" in named(rpc, stage.a.names, ROWS[rpc.name].fields)
    ]
    assert with_tenant
    for rpc in (one for one in with_tenant if one.name != SIGN_IN):
        for sender in stage.b.senders.values():
            own = {**stage.b.names, "tenant_id": stage.a.tenant_id}
            request = filled(rpc, own, ROWS[rpc.name].fields)
            answer = await stage.wire.call(rpc, request, sender.metadata)
            assert answer.outcome in {FOREIGN, "PERMISSION_DENIED trunk/ACCESS_DENIED"}, f"{sender.name}: {rpc.name}"
