"""Tokens for tests are such as the platform makes, and those to be refused are refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import grpc
import jwt
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.auth.tokens import Claims
from trunkline.auth.verifier import LEEWAY_S
from trunkline.errors import ServiceError
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import bench
from trunkline.testing.tokens import STALE_S, TokenFactory

from tests.trunkline.interceptors.servicers import Effects

pytest_plugins = ["trunkline.testing.fixtures"]
REFUSED = ("expired", "forged", "foreign")
KINDS = ("user", "terminal", "service")


@pytest.mark.parametrize("kind", KINDS)
async def test_its_verifier_knows_its_tokens(tokens: TokenFactory, kind: str):
    """Whoever the factory makes is known to its verifier, with all claims."""
    bearer = getattr(tokens, kind)(scopes=["till"])
    principal = asdict(await tokens.verifier.verify(bearer.sign()))
    assert principal.pop("token") == bearer.sign()
    assert principal.pop("expires_at") > 0
    assert principal == asdict(bearer.claims)
    assert (principal["kind"], principal["scopes"]) == (kind, {"till"})


async def test_everybody_is_somebody(tokens: TokenFactory):
    """Tenant, store, number and name are as they are asked for; users and tills belong to a tenant, services do not."""
    user, till = tokens.user("rival", subject="eve"), tokens.terminal("rival", store_code="7", terminal_no=3)
    assert (user.claims.tenant_id, user.claims.subject) == ("rival", "eve")
    assert (till.claims.tenant_id, till.claims.store_code, till.claims.terminal_no) == ("rival", "7", 3)
    assert (tokens.service("item").claims.subject, tokens.service().claims.tenant_id) == ("item", "")
    assert tokens.of(till.claims).claims is till.claims


async def test_tokens_stay_fresh(tokens: TokenFactory, clock: FakeClock):
    """A bearer has one token for as long as it lives, and then another."""
    bearer = tokens.user()
    first = await bearer.token()
    assert await bearer.token() == first
    clock.advance(10_000)
    assert await bearer.token() != first
    assert (await tokens.verifier.verify(await bearer.token())).subject == "ada"


@pytest.mark.parametrize("how", REFUSED)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_to_be_refused_is(tokens: TokenFactory, kind: str, how: str):
    """Expired, forged and foreign tokens are refused, whosoever they would be."""
    good = getattr(tokens, kind)()
    bad = getattr(tokens, how)(good)
    assert bad.claims is good.claims
    with pytest.raises(ServiceError, match="TOKEN_INVALID"):
        await tokens.verifier.verify(bad.sign())


def test_an_expired_token_was_good(tokens: TokenFactory, clock: FakeClock):
    """It is a token of this issuer whose life is over, by more than clocks may differ."""
    bad, good = read(tokens.expired().sign()), read(tokens.user().sign())
    assert bad["header"] == good["header"]
    assert good["payload"]["exp"] - bad["payload"]["exp"] == STALE_S
    assert bad["payload"]["exp"] < clock.now().timestamp() - LEEWAY_S


def test_a_forged_token_says_what_a_good_one_says(tokens: TokenFactory):
    """It names this issuer and its key, and is as long as it must: its signature alone betrays it."""
    bad, good = read(tokens.forged().sign()), read(tokens.user().sign())
    assert bad["header"] == good["header"]
    assert bad["payload"] | {"jti": ""} == good["payload"] | {"jti": ""}


def read(token: str) -> dict[str, Any]:
    """What a token says, believed without proof."""
    found: dict[str, Any] = jwt.decode_complete(token, options={"verify_signature": False})
    return found


async def test_a_foreign_token_is_good_at_home(tokens: TokenFactory):
    """Another factory is another system: each knows its own tokens only."""
    other = TokenFactory()
    token = other.user().sign()
    assert (await other.verifier.verify(token)).subject == "ada"
    assert read(token)["header"]["kid"] != read(tokens.user().sign())["header"]["kid"]
    with pytest.raises(ServiceError, match="TOKEN_INVALID"):
        await tokens.verifier.verify(token)


@pytest.mark.parametrize("how", [*REFUSED, ""])
async def test_refused_at_the_door(how: str):
    """Behind the whole chain bad tokens are refused before the handler, with or without our client; good ones pass."""
    tokens, effects = TokenFactory(), Effects()
    bearer = tokens.user() if not how else getattr(tokens, how)()
    async with bench(servicers=[effects], service={"verifier": tokens.verifier}, credential=bearer) as on:
        ours: Any = pb_grpc.EffectServiceStub(on.channel)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{on.server.port}") as channel:
            stranger: Any = pb_grpc.EffectServiceStub(channel)
            calls = [ours.Add(pb.AddRequest()), stranger.Add(pb.AddRequest(), metadata=bearer.metadata)]
            codes = [await call.code() for call in calls]
    assert codes == [grpc.StatusCode.UNAUTHENTICATED if how else grpc.StatusCode.OK] * 2
    assert len(effects.calls) == (0 if how else 2)
    await tokens.close()


def test_claims_keep_their_rules(tokens: TokenFactory):
    """The factory makes nobody who cannot be: a user without a tenant."""
    with pytest.raises(ValueError, match="belongs to a tenant"):
        tokens.user("")
    assert isinstance(tokens.user().claims, Claims)
