"""Credentials exchanged for tokens, over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import jwt
import pytest
from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1.api_key_pb2 import ApiKey
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunkline.auth.keys import PublicKeys
from trunkline.auth.verifier import TokenVerifier
from trunkline.call import Principal
from trunkline.errors import ServiceError

from tests.services.account.account_system import AccountSystem


async def _verified(system: AccountSystem, token: str) -> Principal:
    identity = await system.identity()

    async def fetch() -> Sequence[identity_pb.PublicKey]:
        return (await identity.ListPublicKeys(identity_pb.ListPublicKeysRequest())).keys

    return await TokenVerifier(PublicKeys(fetch), "trunkline", "trunkline").verify(token)


async def _create(system: AccountSystem, **fields: Any) -> pb.CreateApiKeyResponse:
    return await (await system.root()).CreateApiKey(pb.CreateApiKeyRequest(**fields))


async def test_root_token_looks_after_the_platform(system):
    """The root credential's token is a service's, subject `root`, with scope platform.admin and nothing more."""
    principal = await _verified(system, await system.exchange(system.root_credential))
    assert (principal.kind, principal.subject, principal.tenant_id) == ("service", "root", "")
    assert principal.scopes == {"platform.admin"}


async def test_admin_token_reads_and_writes_its_shop(system):
    """An ADMIN key's token is a user's of its tenant and carries the tenant's currency."""
    credential = await system.tenant("acme", "USD")
    principal = await _verified(system, await system.exchange(credential))
    assert (principal.kind, principal.tenant_id, principal.currency_code) == ("user", "acme", "USD")
    assert principal.scopes == {"shop.read", "shop.write"}
    assert principal.credential_id == credential.partition(".")[0]
    assert (principal.store_code, principal.terminal_no) == ("", 0)


async def test_terminal_token_is_bound_to_its_till(system):
    """A TERMINAL key's token names store and terminal and may only do a till's work."""
    await system.tenant("acme")
    created = await _create(system, kind=ApiKey.KIND_TERMINAL, tenant_id="acme", store_code="S1", terminal_no=3)
    principal = await _verified(system, await system.exchange(created.credential))
    assert (principal.kind, principal.tenant_id, principal.scopes) == ("terminal", "acme", frozenset({"till"}))
    assert (principal.store_code, principal.terminal_no) == ("S1", 3)


async def test_service_token_has_a_name_and_no_scopes(system):
    """A SERVICE key's token is a service's, of no tenant, and lives five minutes."""
    created = await _create(system, kind=ApiKey.KIND_SERVICE, service_name="cart")
    token = await system.exchange(created.credential)
    principal = await _verified(system, token)
    assert (principal.kind, principal.subject, principal.tenant_id) == ("service", "cart", "")
    assert principal.scopes == frozenset()
    payload = jwt.decode(token, options={"verify_signature": False})
    assert payload["exp"] - payload["iat"] == 300


async def test_every_exchange_makes_a_new_token(system):
    """Nothing is stored or replayed: two exchanges give two tokens."""
    assert await system.exchange(system.root_credential) != await system.exchange(system.root_credential)


async def test_answer_tells_when_the_token_expires(system):
    """expire_time is the token's own exp."""
    request = identity_pb.ExchangeCredentialRequest(credential=system.root_credential)
    answer = await (await system.identity()).ExchangeCredential(request)
    assert answer.expire_time.seconds == jwt.decode(answer.token, options={"verify_signature": False})["exp"]


async def test_bad_credential_is_refused_whatever_is_wrong_with_it(system):
    """Unknown, wrong, cut, extended, revoked and malformed credentials get one answer, word for word."""
    good = await system.tenant("acme")
    key_id, _, secret = good.partition(".")
    revoked = await _create(system, kind=ApiKey.KIND_SERVICE, service_name="cart")
    await (await system.root()).RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=revoked.api_key.api_key_id))
    bad = [
        revoked.credential, f"k_unknown.{secret}", f"{key_id}.{secret[:-1]}", f"{good}x", f"{good}.", f"{key_id}.",
        key_id, f".{secret}", f"{key_id}{secret}", "root", "root.", f"root.{secret}", f"ROOT.{secret}",
        f"{key_id}\n.{secret}", f"' OR 1=1 --.{secret}", "x", ".", "\x00", "é.é",
    ]  # fmt: skip
    refusals = set()
    for credential in bad:
        with pytest.raises(ServiceError) as caught:
            await system.exchange(credential)
        error = caught.value
        refusals.add((error.code, error.domain, error.reason, error.message, tuple(error.metadata.items())))
    assert refusals == {
        (grpc.StatusCode.UNAUTHENTICATED, "trunk.identity", "CREDENTIAL_INVALID", "the credential is not valid", ())
    }
    assert await system.exchange(good)


@pytest.mark.parametrize("credential", ["", "x" * 257])
async def test_credential_of_no_or_too_great_length_breaks_the_contract(system, credential):
    """Emptiness and 257 characters are refused before anything is looked up."""
    with pytest.raises(ServiceError) as caught:
        await system.exchange(credential)
    assert caught.value.reason == "REQUEST_INVALID"


async def test_secret_is_nowhere_at_rest(system):
    """A copy of the database, its log and lock holds no credential; only the root's stands in its own file."""
    secrets = [(await system.tenant("acme")).partition(".")[2]]
    created = await _create(system, kind=ApiKey.KIND_TERMINAL, tenant_id="acme", store_code="S1", terminal_no=3)
    secrets += [created.credential.partition(".")[2], system.root_credential.partition(".")[2]]
    files = [file for file in system.directory.rglob("*") if file.is_file() and file.name != "root.credential"]
    assert any(file.suffix == ".db" for file in files)
    for file in files:
        content = file.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), file.name
