"""Who may call what: decided from the contract, on the name that is routed by, and for the token's tenant alone."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import headers
from trunkline.method import Access, methods_of

from tests.faults.identity.stage import REFUSED, bearer, outcome, stage
from tests.trunkline.auth.identity_system import SERVICE, TERMINAL, USER, System

DENIED = grpc.StatusCode.PERMISSION_DENIED
ADD = "/trunk.testing.v1.EffectService/Add"
SERVED = ("trunk.testing.v1.EffectService", "trunk.policy.v1.CallStateService")
WHO = {"nobody": None, "user": USER, "terminal": TERMINAL, "service": SERVICE}


def metadata_of(system: System, who: str) -> tuple[tuple[str, str], ...]:
    """Headers of whoever it is."""
    claims = WHO[who]
    return bearer(system.token(claims)) if claims is not None else ()


ALLOWED = {
    Access.AUTHENTICATED: {"user", "terminal", "service"},
    Access.SCOPES: set(),
    Access.SERVICE: {"service"},
}
"""Who is let in; the scope that the bench asks for has none of them."""


@pytest.mark.parametrize("who", WHO)
async def test_every_method_is_closed_unless_its_contract_opens_it(who):
    """D12: each served method that is not public, whoever calls: let in by its access, refused otherwise, unread."""
    async with stage() as on:
        for method in (method for service in SERVED for method in methods_of(service)):
            call: Any = on.channel.unary_unary(method.path)(b"\xff", metadata=metadata_of(on.system, who), timeout=10)
            failure = await outcome(call)
            assert failure is not None
            found = (failure.code, failure.reason)
            if who == "nobody":
                assert found == (REFUSED, "TOKEN_MISSING"), method.path
            elif who in ALLOWED[method.access]:
                assert failure.reason == "MESSAGE_UNREADABLE", method.path
            else:
                assert found == (DENIED, "ACCESS_DENIED"), method.path
        assert not on.effects.calls


@pytest.mark.parametrize(
    "path",
    [
        "//trunk.testing.v1.EffectService/Add",
        "/trunk.testing.v1.EffectService//Add",
        "/trunk.testing.v1.EffectService/Add/",
        "/trunk.testing.v1.EffectService/add",
        "/TRUNK.testing.v1.EffectService/Add",
        "/trunk.testing.v1.EffectService/Add?x=1",
        "/trunk.testing.v1.EffectService/Add#",
        "/trunk.testing.v1.EffectService/Add%20",
        "/trunk.testing.v1.EffectService%2FAdd",
        "/./trunk.testing.v1.EffectService/Add",
        "/x/../trunk.testing.v1.EffectService/Add",
        "/trunk.testing.v1.PingService/Add",
        "/trunk.testing.v1.EffectService/Ping",
        "/Add",
        "/",
    ],
)
async def test_another_name_is_no_way_in(path):
    """C13, D12: what is not exactly a method's name is nobody's method, for nobody and for whoever may call it."""
    async with stage() as on:
        for who in WHO:
            call: Any = on.channel.unary_unary(path)(
                pb.AddRequest(amount=1).SerializeToString(), metadata=metadata_of(on.system, who), timeout=10
            )
            failure = await outcome(call)
            assert failure is not None
            assert failure.code is grpc.StatusCode.UNIMPLEMENTED
        assert not on.effects.calls


@pytest.mark.parametrize("claims", [USER, TERMINAL], ids=lambda claims: claims.kind)
@pytest.mark.parametrize("tenant", ["rival", "acme", ""])
async def test_a_tenant_beside_the_token(claims, tenant):
    """D9: only a service names a tenant; anybody else who does is refused, also where it is his own."""
    async with stage() as on:
        metadata = (*bearer(on.system.token(claims)), (headers.TENANT, tenant))
        failure = await outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=metadata))
        assert failure is not None
        assert (failure.code, failure.reason) == (DENIED, "METADATA_REFUSED")
        assert not on.effects.calls


@pytest.mark.parametrize(
    "name", ["x-tenant", "tenant", "tenant-id", "x-tenant-id", "trunk-tenant-id", "x-forwarded-user"]
)
async def test_headers_of_somebody_elses_making(name):
    """D9: whatever else a header says, the tenant is the token's."""
    async with stage() as on:
        metadata = (*bearer(on.system.token(USER)), (name, "rival"))
        assert await outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=metadata)) is None
        (call,) = on.effects.calls
        assert call.caller is not None
        assert (call.tenant_id, call.caller.tenant_id) == ("acme", "acme")


async def test_of_two_tokens_the_first_counts():
    """D9: a second `authorization` or `trunk-caller` changes nothing, and adds no tenant."""
    async with stage() as on:
        user, service = on.system.token(USER), on.system.token(SERVICE)
        twice = (*bearer(user), *bearer(service), (headers.CALLER, user))
        failure = await outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=twice))
        assert failure is not None
        assert failure.reason == "METADATA_REFUSED"
        assert await outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=(*bearer(user), *bearer(service)))) is None
        sender = on.effects.calls[0].sender
        assert sender is not None
        assert sender.kind == "user"
