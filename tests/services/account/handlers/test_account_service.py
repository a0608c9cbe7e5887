"""Tenants and API keys, over the wire."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1.api_key_pb2 import ApiKey
from pos.account.v1.tenant_pb2 import Tenant
from trunkline.errors import ServiceError


def _tenant(tenant_id: str = "acme", **changes) -> pb.CreateTenantRequest:
    fields = {"name": "Acme", "currency_code": "JPY"} | changes
    return pb.CreateTenantRequest(tenant=Tenant(tenant_id=tenant_id, **fields))


def _terminal_key(**changes) -> pb.CreateApiKeyRequest:
    fields: dict[str, Any] = {"kind": ApiKey.KIND_TERMINAL, "store_code": "S1", "terminal_no": 3} | changes
    return pb.CreateApiKeyRequest(**fields)


async def _refused(call, code: grpc.StatusCode, reason: str, **metadata: str) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call
    error = caught.value
    assert (error.code, error.reason, error.metadata) == (code, reason, metadata)
    assert error.domain == ("trunk" if reason in ("ACCESS_DENIED", "IDEMPOTENCY_KEY_REUSED") else "pos.account")
    return error


async def test_tenant_is_found_as_it_was_created(system):
    """A new tenant has what was asked for, English where no language is named, and its time."""
    root = await system.root()
    created = (await root.CreateTenant(_tenant(currency_code="USD"))).tenant
    assert (created.tenant_id, created.name, created.currency_code, created.language_code) == (
        "acme", "Acme", "USD", "en",
    )  # fmt: skip
    assert created.create_time.seconds > 0
    assert (await root.GetTenant(pb.GetTenantRequest(tenant_id="acme"))).tenant == created


async def test_tenant_id_is_taken_once(system):
    """A second tenant of the same id is refused, and changes nothing of the first."""
    root = await system.root()
    first = (await root.CreateTenant(_tenant())).tenant
    await _refused(
        root.CreateTenant(_tenant(name="Rival")), grpc.StatusCode.ALREADY_EXISTS, "TENANT_EXISTS", tenant_id="acme"
    )
    assert (await root.GetTenant(pb.GetTenantRequest(tenant_id="acme"))).tenant == first


async def test_currency_must_be_known(system):
    """A currency whose minor unit is not known cannot be counted in."""
    root = await system.root()
    await _refused(
        root.CreateTenant(_tenant(currency_code="XXX")),
        grpc.StatusCode.INVALID_ARGUMENT,
        "CURRENCY_UNKNOWN",
        currency_code="XXX",
    )


async def test_repeated_call_gets_its_first_answer(system):
    """The same idempotency key makes one key, and answers the same credential; another body is refused."""
    await system.tenant("acme")
    root, key = await system.root(), (("idempotency-key", "make-terminal-3"),)
    first = await root.CreateApiKey(_terminal_key(tenant_id="acme"), metadata=key)
    again = await root.CreateApiKey(_terminal_key(tenant_id="acme"), metadata=key)
    assert again == first
    assert await system.exchange(again.credential)
    listed = await root.ListApiKeys(pb.ListApiKeysRequest(tenant_id="acme"))
    assert [one.kind for one in listed.api_keys] == [ApiKey.KIND_TERMINAL, ApiKey.KIND_ADMIN]
    await _refused(
        root.CreateApiKey(_terminal_key(tenant_id="acme", terminal_no=4), metadata=key),
        grpc.StatusCode.INVALID_ARGUMENT,
        "IDEMPOTENCY_KEY_REUSED",
    )


async def test_key_is_answered_without_its_secret(system):
    """Only the answer to CreateApiKey has the credential; its first part is the key's id."""
    root = await system.root()
    created = await root.CreateApiKey(
        pb.CreateApiKeyRequest(kind=ApiKey.KIND_SERVICE, service_name="cart", description="tills")
    )
    key = created.api_key
    key_id, _, secret = created.credential.partition(".")
    assert (key.api_key_id, key.service_name, key.tenant_id, key.description) == (key_id, "cart", "", "tills")
    assert len(secret) == 43
    assert not key.HasField("revoke_time")
    listed = await root.ListApiKeys(pb.ListApiKeysRequest())
    assert list(listed.api_keys) == [key]


async def test_keys_need_a_tenant_that_exists(system):
    """A platform admin names the tenant of a key, and it has to be there; a service's key has none."""
    root = await system.root()
    await _refused(root.CreateApiKey(_terminal_key()), grpc.StatusCode.INVALID_ARGUMENT, "TENANT_MISSING")
    await _refused(
        root.CreateApiKey(_terminal_key(tenant_id="acme")),
        grpc.StatusCode.NOT_FOUND,
        "TENANT_NOT_FOUND",
        tenant_id="acme",
    )


BAD_KEYS = {
    "no kind": {},
    "terminal without store and number": {"kind": ApiKey.KIND_TERMINAL, "tenant_id": "acme"},
    "terminal 0": {"kind": ApiKey.KIND_TERMINAL, "tenant_id": "acme", "store_code": "S1", "terminal_no": 0},
    "back office with a till": {"kind": ApiKey.KIND_ADMIN, "store_code": "S1", "terminal_no": 1},
    "back office named like a service": {"kind": ApiKey.KIND_ADMIN, "service_name": "cart"},
    "service without a name": {"kind": ApiKey.KIND_SERVICE},
    "service of a tenant": {"kind": ApiKey.KIND_SERVICE, "service_name": "cart", "tenant_id": "acme"},
    "service in capitals": {"kind": ApiKey.KIND_SERVICE, "service_name": "Cart"},
}


@pytest.mark.parametrize("fields", BAD_KEYS.values(), ids=BAD_KEYS.keys())
async def test_key_of_a_kind_has_what_that_kind_needs(system, fields: dict[str, Any]):
    """Store and number belong to terminals, a name to services, a tenant to all others."""
    root = await system.root()
    with pytest.raises(ServiceError) as caught:
        await root.CreateApiKey(pb.CreateApiKeyRequest(**fields))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert list((await root.ListApiKeys(pb.ListApiKeysRequest())).api_keys) == []


async def test_back_office_makes_keys_of_its_own_terminals_only(system):
    """With shop.write: TERMINAL keys of the own tenant, named or not; no other kind, no other tenant."""
    admin = await system.admin("acme")
    await system.tenant("rival")
    for request in (_terminal_key(), _terminal_key(tenant_id="acme")):
        assert (await admin.CreateApiKey(request)).api_key.tenant_id == "acme"
    for name, request in (
        ("ADMIN", pb.CreateApiKeyRequest(kind=ApiKey.KIND_ADMIN)),
        ("SERVICE", pb.CreateApiKeyRequest(kind=ApiKey.KIND_SERVICE, service_name="cart")),
    ):
        call = admin.CreateApiKey(request)
        await _refused(call, grpc.StatusCode.PERMISSION_DENIED, "API_KEY_KIND_REFUSED", kind=name)


@pytest.mark.parametrize("foreign", ["rival", "nobody"])
async def test_other_tenants_are_out_of_reach(system, foreign):
    """Another tenant's id is refused alike whether it exists or not, in every method that takes one."""
    admin = await system.admin("acme")
    await system.tenant("rival")
    for call in (
        admin.GetTenant(pb.GetTenantRequest(tenant_id=foreign)),
        admin.CreateApiKey(_terminal_key(tenant_id=foreign)),
        admin.ListApiKeys(pb.ListApiKeysRequest(tenant_id=foreign)),
    ):
        await _refused(call, grpc.StatusCode.PERMISSION_DENIED, "TENANT_FOREIGN", tenant_id=foreign)


async def test_tenant_sees_itself_and_its_own_keys(system):
    """Without naming a tenant a back office reads its own record and keys, and no other's."""
    admin = await system.admin("acme")
    await system.tenant("rival")
    assert (await admin.GetTenant(pb.GetTenantRequest())).tenant.tenant_id == "acme"
    listed = await admin.ListApiKeys(pb.ListApiKeysRequest())
    assert [key.tenant_id for key in listed.api_keys] == ["acme"]


async def test_platform_admin_names_a_tenant_to_get_it(system):
    """A caller of no tenant has none to get."""
    root = await system.root()
    await _refused(root.GetTenant(pb.GetTenantRequest()), grpc.StatusCode.INVALID_ARGUMENT, "TENANT_MISSING")
    await _refused(
        root.GetTenant(pb.GetTenantRequest(tenant_id="nobody")),
        grpc.StatusCode.NOT_FOUND,
        "TENANT_NOT_FOUND",
        tenant_id="nobody",
    )


async def test_till_reads_its_tenant_and_touches_no_keys(system):
    """A terminal's token may get its tenant; keys and tenants are not its business."""
    admin = await system.admin("acme")
    created = await admin.CreateApiKey(_terminal_key())
    till = await system.account(await system.exchange(created.credential))
    assert (await till.GetTenant(pb.GetTenantRequest())).tenant.tenant_id == "acme"
    for name, call in (
        ("CreateTenant", till.CreateTenant(_tenant("own"))),
        ("CreateApiKey", till.CreateApiKey(_terminal_key())),
        ("ListApiKeys", till.ListApiKeys(pb.ListApiKeysRequest())),
        ("RevokeApiKey", till.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=created.api_key.api_key_id))),
    ):
        method = f"/pos.account.v1.AccountService/{name}"
        await _refused(call, grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", method=method)


async def test_back_office_creates_no_tenants(system):
    """Tenants are made by the platform's admin alone."""
    admin = await system.admin("acme")
    method = "/pos.account.v1.AccountService/CreateTenant"
    await _refused(
        admin.CreateTenant(_tenant("own")), grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", method=method
    )


async def test_keys_are_listed_newest_first_page_by_page(system):
    """Pages of two cover five keys once each, newest first."""
    admin = await system.admin("acme")
    made = [(await admin.CreateApiKey(_terminal_key(terminal_no=no))).api_key.api_key_id for no in range(1, 5)]
    found, token, sizes = [], "", []
    while True:
        page = await admin.ListApiKeys(pb.ListApiKeysRequest(page_size=2, page_token=token))
        found += [key.api_key_id for key in page.api_keys]
        sizes.append(len(page.api_keys))
        token = page.next_page_token
        if not token:
            break
    assert sizes == [2, 2, 1]
    assert found[:4] == made[::-1]
    assert len(set(found)) == 5


async def test_page_token_is_of_no_use_to_another_tenant(system):
    """A token is bound to its list."""
    admin, rival = await system.admin("acme"), await system.admin("rival")
    await admin.CreateApiKey(_terminal_key())
    token = (await admin.ListApiKeys(pb.ListApiKeysRequest(page_size=1))).next_page_token
    with pytest.raises(ServiceError) as caught:
        await rival.ListApiKeys(pb.ListApiKeysRequest(page_size=1, page_token=token))
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


async def test_revoked_key_keeps_the_time_of_its_first_revocation(system):
    """Revoking ends exchanges at once; revoking again changes nothing."""
    admin = await system.admin("acme")
    created = await admin.CreateApiKey(_terminal_key())
    request = pb.RevokeApiKeyRequest(api_key_id=created.api_key.api_key_id)
    revoked = (await admin.RevokeApiKey(request)).api_key
    assert revoked.HasField("revoke_time")
    assert (await admin.RevokeApiKey(request)).api_key == revoked
    with pytest.raises(ServiceError):
        await system.exchange(created.credential)
    assert revoked in (await admin.ListApiKeys(pb.ListApiKeysRequest())).api_keys


async def test_keys_out_of_reach_cannot_be_told_from_unknown_ones(system):
    """Another tenant's key and a service's key are not found, exactly like one that does not exist."""
    admin = await system.admin("acme")
    foreign = (await system.tenant("rival")).partition(".")[0]
    root = await system.root()
    service = await root.CreateApiKey(pb.CreateApiKeyRequest(kind=ApiKey.KIND_SERVICE, service_name="cart"))
    for key_id in (foreign, service.api_key.api_key_id, "k_unknown"):
        await _refused(
            admin.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=key_id)),
            grpc.StatusCode.NOT_FOUND,
            "API_KEY_NOT_FOUND",
            api_key_id=key_id,
        )
    assert (await root.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=foreign))).api_key.HasField("revoke_time")
