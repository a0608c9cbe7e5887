"""What is listed as revoked, and until when."""

from __future__ import annotations

import jwt
import pytest
import sqlalchemy as sa
from pos.account.v1 import account_service_pb2 as account_pb
from pos.account.v1 import user_service_pb2 as pb
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunkline.auth.tokens import MAX_LIFETIME_S
from trunkline.auth.verifier import LEEWAY_S

from services.account.storage.revocations import LISTED
from tests.services.account.account_system import PASSWORD, hanako
from tests.services.account.refusals import refusal

VOIDING = {
    "disabled": ("DisableUser", pb.DisableUserRequest(user_name="hanako")),
    "other roles": ("SetUserRoles", pb.SetUserRolesRequest(user_name="hanako", roles=["admin"])),
    "other password": ("SetUserPassword", pb.SetUserPasswordRequest(user_name="hanako", password="another password")),
}
HARMLESS = {
    "enabled": ("EnableUser", pb.EnableUserRequest(user_name="hanako")),
    "unlocked": ("UnlockUser", pb.UnlockUserRequest(user_name="hanako")),
}


def _cred(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["cred"])


async def test_revoked_key_is_listed(system):
    """D13: the credential of a revoked key is listed with its time, once; that of others is not."""
    admin = await system.admin("acme")
    credential = await system.tenant("rival")
    assert await system.revoked() == set()
    key_id = credential.partition(".")[0]
    root = await system.root()
    for _ in range(2):
        await root.RevokeApiKey(account_pb.RevokeApiKeyRequest(api_key_id=key_id))
    assert await system.revoked() == {key_id}
    assert await admin.GetTenant(account_pb.GetTenantRequest())


@pytest.mark.parametrize(("method", "request_"), VOIDING.values(), ids=VOIDING.keys())
async def test_what_voids_a_users_tokens_is_listed(system, method, request_):
    """The credential of tokens from before is listed; that of tokens made afterwards is another, and is not."""
    office = await system.office()
    await hanako(office)
    before = _cred(await system.sign_in())
    await getattr(office, method)(request_)
    assert await system.revoked() == {before}
    await office.EnableUser(pb.EnableUserRequest(user_name="hanako"))
    password = getattr(request_, "password", PASSWORD)
    assert _cred(await system.sign_in(password=password)) not in await system.revoked()


@pytest.mark.parametrize(("method", "request_"), HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_voids_nothing_is_not_listed(system, method, request_):
    """Who is let in again loses no token."""
    office = await system.office()
    await hanako(office)
    await getattr(office, method)(request_)
    assert await system.revoked() == set()


async def test_changing_the_own_password_voids_all_tokens(system):
    """Whoever fears for the password ends every session with it, the own one included."""
    await hanako(await system.office())
    first, second = await system.sign_in(), await system.sign_in()
    request = pb.ChangePasswordRequest(current_password=PASSWORD, new_password="another password")
    await (await system.users(second)).ChangePassword(request)
    assert await system.revoked() == {_cred(first)} == {_cred(second)}


async def test_revocation_is_listed_while_a_token_can_be_about(clocked, clock):
    """It outlives the longest token by the leeway of both clocks, is gone a minute later, and then deleted."""
    office = await clocked.office()
    await hanako(office)
    before = _cred(await clocked.sign_in())
    await office.DisableUser(pb.DisableUserRequest(user_name="hanako"))
    clock.advance(MAX_LIFETIME_S + 2 * LEEWAY_S)
    assert await clocked.revoked() == {before}
    clock.advance(61)
    assert await clocked.revoked() == set()
    root = await clocked.users(await clocked.exchange(clocked.root_credential))
    again = pb.SetUserRolesRequest(user_name="hanako", tenant_id="acme", roles=["admin"])
    await root.SetUserRoles(again)
    database = sa.create_engine(f"sqlite:///{clocked.directory / 'account.db'}")
    with database.connect() as connection:
        assert len(connection.execute(sa.text("SELECT * FROM revocation")).all()) == 1
    database.dispose()
    assert LISTED.total_seconds() > MAX_LIFETIME_S + 2 * LEEWAY_S


async def test_revocations_are_for_services_only(system):
    """A back office does not learn which credentials were revoked."""
    request = identity_pb.ListRevocationsRequest()
    office = await system.identity(await system.exchange(await system.tenant("acme")))
    assert await refusal(office.ListRevocations(request)) == "PERMISSION_DENIED trunk/ACCESS_DENIED"
