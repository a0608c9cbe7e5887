"""What the audit log has of the account service, and what is nowhere."""

from __future__ import annotations

from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1 import user_service_pb2 as user_pb
from pos.account.v1.api_key_pb2 import ApiKey

from tests.services.account.account_system import PASSWORD, hanako
from tests.services.account.refusals import refused
from tests.trunkline.interceptors.servicers import until

OTHER = "another password"


async def _of(logged, method: str) -> dict[str, object]:
    """The one record of a method; it is written when the answer is on its way."""

    def found() -> list[dict[str, object]]:
        records = [line for line in logged if line.get("logger") == "trunkline.audit"]
        return [dict(line) for line in records if str(line["method"]).endswith(f"/{method}")]

    await until(lambda: bool(found()))
    (record,) = found()
    return record


async def test_changes_are_logged_with_who_made_them(system, logged):
    """Keys made and revoked and users changed leave a record each, with caller, tenant and credential."""
    credential = await system.tenant("acme")
    key_id, token = credential.partition(".")[0], await system.exchange(credential)
    admin, office = await system.account(token), await system.users(token)
    logged.clear()
    made = await admin.CreateApiKey(pb.CreateApiKeyRequest(kind=ApiKey.KIND_TERMINAL, store_code="S1", terminal_no=3))
    await admin.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=made.api_key.api_key_id))
    await hanako(office)
    await office.SetUserRoles(user_pb.SetUserRolesRequest(user_name="hanako", roles=["admin"]))
    await office.SetUserPassword(user_pb.SetUserPasswordRequest(user_name="hanako", password=OTHER))
    for method, request in (("Disable", user_pb.DisableUserRequest), ("Enable", user_pb.EnableUserRequest)):
        await getattr(office, f"{method}User")(request(user_name="hanako"))
    await office.UnlockUser(user_pb.UnlockUserRequest(user_name="hanako"))
    for method in (
        "CreateApiKey", "RevokeApiKey", "CreateUser", "SetUserRoles", "SetUserPassword", "DisableUser", "EnableUser",
        "UnlockUser",
    ):  # fmt: skip
        assert (await _of(logged, method)).items() >= {
            "event": "called",
            "code": "OK",
            "caller": f"apiKeys/{key_id}",
            "tenant": "acme",
            "credential_id": key_id,
        }.items(), method


async def test_a_sign_in_is_logged_with_who_signed_in(system, logged):
    """A sign-in has no token, and its record names the user all the same; a change of the password too."""
    await hanako(await system.office())
    logged.clear()
    token = await system.sign_in()
    assert (await _of(logged, "SignIn")).items() >= {
        "event": "called",
        "caller": "users/hanako",
        "tenant": "acme",
    }.items()
    request = user_pb.ChangePasswordRequest(current_password=PASSWORD, new_password=OTHER)
    await (await system.users(token)).ChangePassword(request)
    assert (await _of(logged, "ChangePassword")).items() >= {"event": "called", "caller": "users/hanako"}.items()


async def test_refusals_are_logged_with_their_cause(system, logged):
    """Wrong passwords, secrets and scopes: method, reason and who, where that is known."""
    office = await system.office()
    await hanako(office)
    auditor = await system.users(await system.sign_in())
    credential = await system.tenant("rival")
    key_id = credential.partition(".")[0]
    logged.clear()
    await refused(system.sign_in(password="wrong password"))
    assert (await _of(logged, "SignIn")).items() >= {
        "event": "refused",
        "reason": "CREDENTIAL_INVALID",
        "why": "wrong password: acme/hanako",
    }.items()
    await refused(system.exchange(f"{key_id}.wrong"))
    assert (await _of(logged, "ExchangeCredential"))["why"] == f"wrong secret: {key_id}"
    await refused(auditor.UnlockUser(user_pb.UnlockUserRequest(user_name="hanako")))
    assert (await _of(logged, "UnlockUser")).items() >= {
        "event": "refused",
        "reason": "ACCESS_DENIED",
        "caller": "users/hanako",
        "tenant": "acme",
    }.items()


async def test_no_secret_is_logged_or_at_rest(system, logged):
    """D13: neither the logs nor a dump of the database hold a password or the secret of a key; of a key, its id."""
    office = await system.office()
    credential = await system.tenant("rival")
    key_id, _, secret = credential.partition(".")
    made = user_pb.CreateUserRequest(user_name="hanako", display_name="Hanako", password=PASSWORD, roles=["admin"])
    await office.CreateUser(made, metadata=(("idempotency-key", "make-hanako"),))
    mine = await system.users(await system.sign_in())
    await refused(system.sign_in(password="wrong password"))
    await refused(system.sign_in(f"{secret[:8]}-in-the-name".lower().replace("_", ".")))
    await refused(system.exchange(secret))
    await refused(system.exchange(f"{key_id}.{secret}x"))
    request = user_pb.ChangePasswordRequest(current_password=PASSWORD, new_password=OTHER)
    await mine.ChangePassword(request, metadata=(("idempotency-key", "change"),))
    files = [path for path in system.directory.rglob("*") if path.is_file() and path.name != "root.credential"]
    kept = b"".join(path.read_bytes() for path in files)
    assert key_id.encode() in kept
    for text in (PASSWORD, OTHER, "wrong password", secret):
        assert text.encode() not in kept, text
        told = "\n".join(str(line) for line in logged if line.get("why") != "wrong password: acme/hanako")
        assert text not in told, text
