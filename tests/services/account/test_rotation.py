"""Signing keys change while tokens are made and verified, and nothing is restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import pytest
from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1 import account_service_pb2_grpc as pb_grpc
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunk.identity.v1 import identity_service_pb2_grpc as identity_pb_grpc
from trunkline.auth.key_files import LAST_TOKEN_S, LISTED_FIRST_S, key_file, make_key, read_keys, uses
from trunkline.auth.keys import REFRESH_S, PublicKeys
from trunkline.auth.tokens import LIFETIMES_S, Claims, TokenSigner
from trunkline.auth.verifier import TokenVerifier
from trunkline.errors import ServiceError
from trunkline.testing.clock import FakeClock

from tests.services.account.account_system import AccountSystem

AT_ONCE = 8
CLAIMS = Claims(kind="service", subject="cart", credential_id="c1")


class Traffic:
    """Makes tokens by the account service, and uses them there and at another service of the system."""

    def __init__(self, system: AccountSystem, clock: FakeClock, credential: str) -> None:
        self.signed_with: list[str] = []
        """Id of the key of every token, in order."""
        self.tokens: list[str] = []
        """All of them."""
        self._system, self._clock, self._credential = system, clock, credential
        self._keys = PublicKeys(self._fetch, None, clock)
        self.elsewhere = TokenVerifier(self._keys, "trunkline", "trunkline", clock)
        """The other service's verifier, with keys of its own."""

    async def open(self) -> None:
        """Opens its channel."""
        channel = await self._system.plain_channel()
        self._identity = identity_pb_grpc.IdentityServiceStub(channel)
        self._account = pb_grpc.AccountServiceStub(channel)

    async def step(self, seconds: float, *beside: Callable[[], Any]) -> None:
        """Moves the clock on and works, eight at once, with other work beside; any error fails the test."""
        self._clock.advance(seconds)
        await asyncio.gather(*(self._work() for _ in range(AT_ONCE)), *(asyncio.to_thread(one) for one in beside))

    async def _work(self) -> None:
        request = identity_pb.ExchangeCredentialRequest(credential=self._credential)
        token = (await self._identity.ExchangeCredential(request)).token
        assert (await self.elsewhere.verify(token)).tenant_id == "acme"
        bearer = (("authorization", f"Bearer {token}"),)
        assert (await self._account.GetTenant(pb.GetTenantRequest(), metadata=bearer)).tenant.tenant_id == "acme"
        self.tokens.append(token)
        self.signed_with.append(str(jwt.get_unverified_header(token)["kid"]))

    async def _fetch(self) -> Sequence[identity_pb.PublicKey]:
        return (await self._identity.ListPublicKeys(identity_pb.ListPublicKeysRequest())).keys


@pytest.fixture
async def traffic(clocked: AccountSystem, clock: FakeClock) -> Traffic:
    """Traffic that has begun."""
    found = Traffic(clocked, clock, await clocked.tenant("acme"))
    await found.open()
    await found.step(0)
    return found


async def test_account_rotates_its_keys_under_load(clocked: AccountSystem, clock: FakeClock, traffic: Traffic):
    """D7: a key is added, signs, and the old one goes: no error, old tokens live out, the removed key is refused."""
    folder = clocked.directory / "signing-keys"
    [old] = read_keys(folder)
    await traffic.step(1, lambda: make_key(folder, clock.now()))
    for _ in range(int(LISTED_FIRST_S / 5)):
        await traffic.step(5)
        if traffic.signed_with[-1] != old.key_id:
            break
        old_token, at = traffic.tokens[-1], clock.now()
    [new, _] = read_keys(folder)
    await traffic.step(5)
    # Once the new key signs, the old one never does again.
    assert traffic.signed_with[-AT_ONCE:] == [new.key_id] * AT_ONCE
    assert set(traffic.signed_with) == {old.key_id, new.key_id}
    # The last token of the old key is good here and there until it expires.
    life_s = LIFETIMES_S["user"]
    while (clock.now() - at).total_seconds() < life_s - 60:
        await traffic.step(50)
        assert (await traffic.elsewhere.verify(old_token)).tenant_id == "acme"
        assert await (await clocked.account(old_token)).GetTenant(pb.GetTenantRequest())
    # An operator prunes when it is spent, and no earlier.
    while [one.state for one in uses(read_keys(folder), clock.now())] != ["signing", "spent"]:
        await traffic.step(50)
    assert (clock.now() - at).total_seconds() >= life_s
    stolen = TokenSigner(old.key_id, old.private_key, "trunkline", clock).sign(CLAIMS, audience="trunkline").token
    assert await traffic.elsewhere.verify(stolen)
    await traffic.step(1, key_file(folder, old.key_id).unlink)
    for _ in range(3):
        await traffic.step(REFRESH_S / 2)
    with pytest.raises(ServiceError, match="TOKEN_INVALID"):
        await traffic.elsewhere.verify(stolen)
    with pytest.raises(ServiceError, match="TOKEN_INVALID"):
        await (await clocked.account(stolen)).GetTenant(pb.GetTenantRequest())
    assert (clock.now() - at).total_seconds() < life_s + LAST_TOKEN_S
