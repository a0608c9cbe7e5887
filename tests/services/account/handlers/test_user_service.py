"""Users, over the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pos.account.v1 import user_service_pb2 as pb
from trunkline.auth.key_files import read_keys
from trunkline.auth.tokens import Claims, TokenSigner

from tests.services.account.account_system import PASSWORD, AccountSystem, hanako, new_user
from tests.services.account.refusals import refusal, refused

NAMED: dict[str, Callable[..., Any]] = {
    "GetUser": pb.GetUserRequest,
    "SetUserRoles": lambda **fields: pb.SetUserRolesRequest(roles=["auditor"], **fields),
    "SetUserPassword": lambda **fields: pb.SetUserPasswordRequest(password="another password", **fields),
    "DisableUser": pb.DisableUserRequest,
    "EnableUser": pb.EnableUserRequest,
    "UnlockUser": pb.UnlockUserRequest,
}
"""Requests about one user."""
UNKNOWN = "NOT_FOUND pos.account/USER_NOT_FOUND"


def _token(system: AccountSystem, *scopes: str, tenant_id: str = "acme") -> str:
    """A token of a back office with scopes that no role gives alone."""
    [key] = read_keys(system.directory / "signing-keys")
    claims = Claims(
        kind="user", subject="apiKeys/k_1", credential_id="k_1", tenant_id=tenant_id, scopes=frozenset(scopes)
    )
    return TokenSigner(key.key_id, key.private_key, "trunkline").sign(claims, audience="trunkline").token


async def test_user_is_found_as_created(system):
    """A new user has what was asked for, may sign in, and shows nothing of the password."""
    office = await system.office()
    made = await hanako(office, "admin", "auditor")
    assert (made.tenant_id, made.user_name, made.display_name) == ("acme", "hanako", "Hanako")
    assert list(made.roles) == ["admin", "auditor"]
    assert made.create_time == made.password_time
    assert not made.HasField("disable_time")
    assert not made.HasField("lock_end_time")
    assert (await office.GetUser(pb.GetUserRequest(user_name="hanako"))).user == made
    assert PASSWORD not in str(made)


async def test_user_name_is_taken_once_in_a_tenant(system):
    """A second user of the same name is refused; in another tenant it is another user."""
    office, rival = await system.office(), await system.office("rival")
    await hanako(office)
    assert await refusal(hanako(office)) == "ALREADY_EXISTS pos.account/USER_EXISTS"
    assert (await hanako(rival)).tenant_id == "rival"


async def test_repeat_gets_its_first_answer(system):
    """The same idempotency key makes one user, and nothing of the password is in the stored answer."""
    office, key = await system.office(), (("idempotency-key", "make-hanako"),)
    first = await office.CreateUser(new_user(), metadata=key)
    assert await office.CreateUser(new_user(), metadata=key) == first
    changed = office.CreateUser(new_user(password="another password"), metadata=key)
    assert await refusal(changed) == "INVALID_ARGUMENT trunk/IDEMPOTENCY_KEY_REUSED"


async def test_users_are_listed_by_name_page_by_page(system):
    """Pages of two cover five users of the own tenant once each."""
    office, rival = await system.office(), await system.office("rival")
    await rival.CreateUser(new_user("anna"))
    for name in ("c", "a", "e", "b", "d"):
        await office.CreateUser(new_user(name))
    found, token = [], ""
    while True:
        page = await office.ListUsers(pb.ListUsersRequest(page_size=2, page_token=token))
        found.append([user.user_name for user in page.users])
        token = page.next_page_token
        if not token:
            break
    assert found == [["a", "b"], ["c", "d"], ["e"]]


BAD_USERS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown role": ({"roles": ["emperor"]}, "INVALID_ARGUMENT pos.account/ROLE_UNKNOWN"),
    "no role": ({"roles": []}, "INVALID_ARGUMENT trunk/REQUEST_INVALID"),
    "password of nine": ({"password": "x" * 9}, "INVALID_ARGUMENT trunk/REQUEST_INVALID"),
    "password of 129": ({"password": "x" * 129}, "INVALID_ARGUMENT trunk/REQUEST_INVALID"),
    "password is the name": (
        {"user_name": "hanako@acme", "password": "Hanako@Acme"},
        "INVALID_ARGUMENT pos.account/PASSWORD_UNFIT",
    ),
    "name in capitals": ({"user_name": "Hanako"}, "INVALID_ARGUMENT trunk/REQUEST_INVALID"),
    "name of a path": ({"user_name": "../root"}, "INVALID_ARGUMENT trunk/REQUEST_INVALID"),
    "nameless": ({"display_name": ""}, "INVALID_ARGUMENT trunk/REQUEST_INVALID"),
}


@pytest.mark.parametrize(("fields", "outcome"), BAD_USERS.values(), ids=BAD_USERS.keys())
async def test_user_that_breaks_a_rule_is_not_made(system, fields, outcome):
    """Roles of the table, 10 to 128 characters of password that are not the name; and the refusal quotes none of it."""
    office = await system.office()
    request = new_user(**{"user_name": "hanako"} | {"roles": ["auditor"]} | fields)
    error = await refused(office.CreateUser(request))
    assert f"{error.code.name} {error.domain}/{error.reason}" == outcome
    assert request.password not in f"{error} {error.metadata} {error.violations}"
    assert not (await office.ListUsers(pb.ListUsersRequest())).users


@pytest.mark.parametrize("length", [10, 128])
async def test_passwords_of_the_shortest_and_longest_kind_sign_in(system, length):
    """Ten and 128 characters are a password, and characters are counted, not bytes."""
    office, password = await system.office(), "鍵" * length
    await office.CreateUser(new_user(password=password))
    assert await system.sign_in(password=password)


@pytest.mark.parametrize("name", NAMED)
async def test_users_of_others_are_unknown(system, name):
    """D10: another tenant's user is, word for word, one that does not exist; and stays as it was."""
    office, rival = await system.office(), await system.office("rival")
    made = (await office.CreateUser(new_user("taro"))).user
    method, request = getattr(rival, name), NAMED[name]
    answers = [await refused(method(request(user_name=one))) for one in ("taro", "nobody")]
    assert {f"{one.code.name} {one.domain}/{one.reason}" for one in answers} == {UNKNOWN}
    assert len({one.message for one in answers}) == 1
    assert [dict(one.metadata) for one in answers] == [{"user_name": "taro"}, {"user_name": "nobody"}]
    foreign = await refusal(method(request(user_name="taro", tenant_id="acme")))
    assert foreign == await refusal(method(request(user_name="taro", tenant_id="nobody")))
    assert foreign == "PERMISSION_DENIED pos.account/TENANT_FOREIGN"
    assert (await office.GetUser(pb.GetUserRequest(user_name="taro"))).user == made
    assert await system.sign_in("taro")


async def test_platform_admin_names_the_tenant(system):
    """Root makes the first user of a tenant, which has to be there; without a tenant it means nobody's."""
    await system.tenant("acme")
    root = await system.users(await system.exchange(system.root_credential))
    assert (await root.CreateUser(new_user("hanako", "admin", tenant_id="acme"))).user.tenant_id == "acme"
    assert await refusal(hanako(root)) == "INVALID_ARGUMENT pos.account/TENANT_MISSING"
    unknown = root.CreateUser(new_user(tenant_id="nobody"))
    assert await refusal(unknown) == "NOT_FOUND pos.account/TENANT_NOT_FOUND"
    assert await refusal(root.GetUser(pb.GetUserRequest(user_name="x", tenant_id="nobody"))) == UNKNOWN


async def test_auditor_looks_and_changes_nothing(system):
    """Scope shop.read lists users; every change needs shop.write."""
    await hanako(await system.office())
    auditor = await system.users(await system.sign_in())
    assert len((await auditor.ListUsers(pb.ListUsersRequest())).users) == 1
    for name, request in NAMED.items():
        if name != "GetUser":
            outcome = await refusal(getattr(auditor, name)(request(user_name="hanako")))
            assert outcome == "PERMISSION_DENIED trunk/ACCESS_DENIED", name
    assert await refusal(auditor.CreateUser(new_user("x"))) == "PERMISSION_DENIED trunk/ACCESS_DENIED"


async def test_nobody_rises_above_themselves(system):
    """Whoever may write and not read gives no role that reads, and touches no user who has one."""
    await hanako(await system.office(), "admin")
    writer = await system.users(_token(system, "shop.write"))
    beyond = "PERMISSION_DENIED pos.account/ROLE_BEYOND_CALLER"
    assert await refusal(writer.CreateUser(new_user("taro", "admin"))) == beyond
    for name, request in NAMED.items():
        if name != "GetUser":
            assert await refusal(getattr(writer, name)(request(user_name="hanako"))) == beyond, name
    assert await system.sign_in()


async def test_admin_manages_the_users_of_the_tenant(system):
    """A user with role admin does what the key of the back office does, within the own tenant."""
    await hanako(await system.office(), "admin")
    admin = await system.users(await system.sign_in())
    assert (await admin.CreateUser(new_user("taro", "admin"))).user.tenant_id == "acme"
    changed = (await admin.SetUserRoles(pb.SetUserRolesRequest(user_name="taro", roles=["auditor"]))).user
    assert list(changed.roles) == ["auditor"]
    unknown = admin.SetUserRoles(pb.SetUserRolesRequest(user_name="taro", roles=["auditor", "emperor"]))
    error = await refused(unknown)
    assert (error.reason, error.metadata) == ("ROLE_UNKNOWN", {"role": "emperor"})
