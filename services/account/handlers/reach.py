"""Which tenants, kinds of keys and roles a caller reaches."""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.call import Principal, current_call
from trunkline.errors import ServiceError, invalid_argument, permission_denied

from services.account.domain.api_key import ApiKeyKind
from services.account.domain.grant import PLATFORM_ADMIN
from services.account.domain.role import role_beyond, scopes_of
from services.account.domain.user import user_name_of


def is_platform_admin() -> bool:
    """Says whether the caller looks after the whole platform, and so belongs to no tenant and names one."""
    principal = _principal()
    return principal is not None and PLATFORM_ADMIN in principal.scopes


def tenant_in_reach(named: str | None) -> str:
    """The tenant named, if the caller reaches it; else its own. Empty for a platform admin who names none.

    Raises:
        ServiceError: PERMISSION_DENIED / TENANT_FOREIGN, INVALID_ARGUMENT / TENANT_MISSING.
    """
    if is_platform_admin():
        return named or ""
    call = current_call()
    own = call.tenant_id if call is not None else ""
    if named is not None and named != own:
        raise permission_denied("TENANT_FOREIGN", "the caller reaches its own tenant only", tenant_id=named)
    if not own:
        raise _missing()
    return own


def one_tenant_in_reach(named: str | None) -> str:
    """As tenant_in_reach; a platform admin has to name one."""
    tenant_id = tenant_in_reach(named)
    if not tenant_id:
        raise _missing()
    return tenant_id


def owner_of_new_key(kind: ApiKeyKind, named: str | None) -> str:
    """The tenant a new key will belong to, empty for a service, if the caller may make keys of this kind.

    Raises:
        ServiceError: PERMISSION_DENIED / API_KEY_KIND_REFUSED, and as tenant_in_reach.
    """
    if not is_platform_admin() and kind is not ApiKeyKind.TERMINAL:
        raise permission_denied("API_KEY_KIND_REFUSED", "the caller may make keys of terminals only", kind=kind.value)
    return "" if kind is ApiKeyKind.SERVICE else one_tenant_in_reach(named)


def check_roles(roles: Iterable[str]) -> None:
    """Refuses roles, to be given or held by whom the caller wants to change, that go beyond the caller's scopes.

    Raises:
        InvalidInput: ROLE_UNKNOWN.
        ServiceError: PERMISSION_DENIED / ROLE_BEYOND_CALLER.
    """
    roles, principal = tuple(roles), _principal()
    scopes_of(roles)
    beyond = role_beyond(roles, principal.scopes if principal is not None else frozenset())
    if beyond is not None:
        raise permission_denied("ROLE_BEYOND_CALLER", "the role has scopes that the caller lacks", role=beyond)


def calling_user() -> tuple[str, str]:
    """Tenant and name of the user who calls.

    Raises:
        ServiceError: PERMISSION_DENIED / CALLER_NO_USER.
    """
    principal = _principal()
    user_name = user_name_of(principal.subject) if principal is not None and principal.kind == "user" else None
    if principal is None or user_name is None:
        raise permission_denied("CALLER_NO_USER", "only a user who has signed in has a password to change")
    return principal.tenant_id, user_name


def _principal() -> Principal | None:
    call = current_call()
    return call.principal if call is not None else None


def _missing() -> ServiceError:
    return invalid_argument("TENANT_MISSING", "the caller has no tenant of its own and named none")
