"""Signing in with name and password, over the wire."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import jwt
import pytest
from pos.account.v1 import user_service_pb2 as pb
from trunk.identity.v1 import identity_service_pb2 as identity_pb

from services.account.domain.lockout import LOCK, MOST_FAILURES
from tests.services.account.account_system import PASSWORD, AccountSystem, hanako, new_user, running
from tests.services.account.refusals import refusal, refused

LOCK_S = LOCK.total_seconds()
INVALID = "UNAUTHENTICATED trunk.identity/CREDENTIAL_INVALID"
OTHER = "another password"


async def _fail(system: AccountSystem, times: int = MOST_FAILURES) -> None:
    for _ in range(times):
        assert await refusal(system.sign_in(password="wrong password")) == INVALID


async def _all_of(call: Awaitable[Any]) -> tuple[Any, ...]:
    error = await refused(call)
    return error.code, error.domain, error.reason, error.message, tuple(error.metadata.items()), error.retry_after_s


async def test_token_has_the_scopes_of_the_roles(system):
    """A sign-in gives a token of kind user, with the roles' scopes, for a quarter of an hour."""
    await hanako(await system.office(), "auditor")
    request = identity_pb.SignInRequest(tenant_id="acme", user_name="hanako", password=PASSWORD)
    answer = await (await system.identity()).SignIn(request)
    claims = jwt.decode(answer.token, options={"verify_signature": False})
    assert jwt.get_unverified_header(answer.token)["typ"] == "user"
    assert (claims["sub"], claims["tenant"], claims["scopes"]) == ("users/hanako", "acme", ["shop.read"])
    assert claims["cur"] == "JPY"
    assert claims["exp"] - claims["iat"] == 900
    assert answer.expire_time.seconds == claims["exp"]


async def test_every_sign_in_makes_a_new_token(system):
    """Nothing is stored or replayed, also under the same key."""
    await hanako(await system.office())
    identity, key = await system.identity(), (("idempotency-key", "same"),)
    request = identity_pb.SignInRequest(tenant_id="acme", user_name="hanako", password=PASSWORD)
    tokens = [(await identity.SignIn(request, metadata=key)).token for _ in range(2)]
    assert tokens[0] != tokens[1]


async def test_refusals_cannot_be_told_apart(system):
    """Unknown tenant or user, wrong password, disabled, locked: one answer, word for word."""
    office = await system.office()
    for name in ("hanako", "taro", "jiro"):
        await office.CreateUser(new_user(name))
    await office.DisableUser(pb.DisableUserRequest(user_name="taro"))
    for _ in range(MOST_FAILURES):
        await refused(system.sign_in("jiro", "wrong password"))
    refusals = {
        await _all_of(system.sign_in(tenant_id="nobody")),
        await _all_of(system.sign_in("nobody")),
        await _all_of(system.sign_in("hanako", "wrong password")),
        await _all_of(system.sign_in("hanako", "x")),
        await _all_of(system.sign_in("taro")),
        await _all_of(system.sign_in("jiro")),
        await _all_of(system.sign_in("jiro", "wrong password")),
    }
    assert len(refusals) == 1
    assert await refusal(system.sign_in("nobody")) == INVALID


async def test_five_failures_lock_for_a_quarter_of_an_hour(clocked, clock):
    """The right password is refused while the user is locked, good again afterwards, and the admin sees the lock."""
    office = await clocked.office()
    await hanako(office)
    await _fail(clocked)
    assert await refusal(clocked.sign_in()) == INVALID
    get = pb.GetUserRequest(user_name="hanako")
    assert (await office.GetUser(get)).user.HasField("lock_end_time")
    assert (await office.ListUsers(pb.ListUsersRequest())).users[0].HasField("lock_end_time")
    clock.advance(LOCK_S - 1)
    assert await refusal(clocked.sign_in()) == INVALID
    clock.advance(1)
    assert await clocked.sign_in()
    office = await clocked.users(await clocked.exchange(clocked.root_credential))
    found = (await office.GetUser(pb.GetUserRequest(user_name="hanako", tenant_id="acme"))).user
    assert not found.HasField("lock_end_time")


async def test_success_forgets_the_failures_before_it(system):
    """Four wrong passwords, a right one and four wrong ones lock nobody."""
    await hanako(await system.office())
    for _ in range(2):
        await _fail(system, MOST_FAILURES - 1)
        assert await system.sign_in()


async def test_lock_outlives_a_restart(tmp_path):
    """Failures and locks are in the database: a restart lets nobody guess on."""
    async with running(tmp_path) as system:
        await hanako(await system.office())
        await _fail(system, MOST_FAILURES - 1)
    async with running(tmp_path) as system:
        await _fail(system, 1)
    async with running(tmp_path) as system:
        assert await refusal(system.sign_in()) == INVALID


async def test_admin_ends_a_lock(system):
    """UnlockUser lets the user in at once; a repeat changes nothing."""
    office = await system.office()
    await hanako(office)
    await _fail(system)
    for _ in range(2):
        unlocked = (await office.UnlockUser(pb.UnlockUserRequest(user_name="hanako"))).user
        assert not unlocked.HasField("lock_end_time")
    assert await system.sign_in()


async def test_a_locked_user_locks_nobody_else(system):
    """Wrong passwords count for the user of the tenant they were meant for, and no other of that name."""
    for tenant_id in ("acme", "rival"):
        await hanako(await system.office(tenant_id))
    await _fail(system)
    assert await system.sign_in(tenant_id="rival")


async def test_disabled_user_comes_back_with_the_old_password(system):
    """DisableUser ends sign-ins until EnableUser; repeats change nothing, and the first time stays."""
    office = await system.office()
    await hanako(office)
    disabled = (await office.DisableUser(pb.DisableUserRequest(user_name="hanako"))).user
    assert disabled.HasField("disable_time")
    assert (await office.DisableUser(pb.DisableUserRequest(user_name="hanako"))).user == disabled
    assert await refusal(system.sign_in()) == INVALID
    for _ in range(2):
        enabled = (await office.EnableUser(pb.EnableUserRequest(user_name="hanako"))).user
        assert not enabled.HasField("disable_time")
    assert await system.sign_in()


async def test_password_set_by_an_admin_is_the_only_one(system):
    """The old password is refused from then on, and the time of the password moves."""
    office = await system.office()
    made = await hanako(office)
    changed = (await office.SetUserPassword(pb.SetUserPasswordRequest(user_name="hanako", password=OTHER))).user
    assert changed.password_time.ToNanoseconds() > made.password_time.ToNanoseconds()
    assert await refusal(system.sign_in()) == INVALID
    assert await system.sign_in(password=OTHER)


async def test_user_changes_the_own_password(system):
    """With the current password, and to one that is no user name; the old one is refused from then on."""
    await hanako(await system.office())
    mine = await system.users(await system.sign_in())
    for current, new, outcome in (
        ("wrong password", OTHER, "PERMISSION_DENIED pos.account/PASSWORD_REFUSED"),
        (PASSWORD, "short", "INVALID_ARGUMENT trunk/REQUEST_INVALID"),
    ):
        request = pb.ChangePasswordRequest(current_password=current, new_password=new)
        assert await refusal(mine.ChangePassword(request)) == outcome
    await mine.ChangePassword(pb.ChangePasswordRequest(current_password=PASSWORD, new_password=OTHER))
    assert await refusal(system.sign_in()) == INVALID
    assert await system.sign_in(password=OTHER)


async def test_guessing_the_current_password_locks_too(system):
    """A stolen token is of no use to find out the password: five guesses, and the right one is refused."""
    await hanako(await system.office())
    mine = await system.users(await system.sign_in())
    for guess in [*["wrong password"] * MOST_FAILURES, PASSWORD]:
        request = pb.ChangePasswordRequest(current_password=guess, new_password=OTHER)
        assert await refusal(mine.ChangePassword(request)) == "PERMISSION_DENIED pos.account/PASSWORD_REFUSED"
    assert await refusal(system.sign_in()) == INVALID


async def test_only_users_have_a_password_to_change(system):
    """The token of an API key changes no password."""
    office = await system.office()
    request = pb.ChangePasswordRequest(current_password=PASSWORD, new_password=OTHER)
    assert await refusal(office.ChangePassword(request)) == "PERMISSION_DENIED pos.account/CALLER_NO_USER"


async def test_one_password_typed_in_two_ways_is_one(system):
    """Letters that keyboards compose differently are the same password (NFKC)."""
    await (await system.office()).CreateUser(new_user(password="caf\u00e9 au lait"))
    assert await system.sign_in(password="cafe\u0301 au lait")


@pytest.mark.parametrize("fields", [{"user_name": "x\x00"}, {"user_name": "' OR 1=1 --"}, {"tenant_id": "a/b"}])
async def test_names_of_no_user_break_the_contract(system, fields):
    """What can be no name is refused before anything is looked up."""
    assert await refusal(system.sign_in(**fields)) == "INVALID_ARGUMENT trunk/REQUEST_INVALID"
