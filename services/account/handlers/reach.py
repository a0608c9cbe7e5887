"""Which tenants, and which kinds of keys, a caller reaches."""

from __future__ import annotations

from trunkline.call import current_call
from trunkline.errors import ServiceError, invalid_argument, permission_denied

from services.account.domain.api_key import ApiKeyKind
from services.account.domain.grant import PLATFORM_ADMIN


def is_platform_admin() -> bool:
    """Says whether the caller looks after the whole platform, and so belongs to no tenant and names one."""
    call = current_call()
    return call is not None and call.principal is not None and PLATFORM_ADMIN in call.principal.scopes


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


def _missing() -> ServiceError:
    return invalid_argument("TENANT_MISSING", "the caller has no tenant of its own and named none")
