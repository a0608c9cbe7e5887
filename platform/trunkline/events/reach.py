"""Whose events a call about events may see: all, or those of the tenant it is made for."""

from __future__ import annotations

import grpc

from trunkline.call import current_call
from trunkline.errors import platform_error


def own_tenant() -> str:
    """Tenant that the call is made for; empty where a service asks for itself, and sees the events of all."""
    call = current_call()
    return call.tenant_id if call is not None else ""


def is_hidden(tenant_id: str) -> bool:
    """Whether what belongs to a tenant is, for this call, not there."""
    return own_tenant() not in ("", tenant_id)


def require_reach(*, tenant_id: str = "", key: str = "") -> None:
    """Lets a call go on that asks for nothing of another tenant than its own; keys begin with their tenant.

    Raises:
        ServiceError: PERMISSION_DENIED / ACCESS_DENIED.
    """
    if (tenant_id and is_hidden(tenant_id)) or (key and is_hidden(key.partition("/")[0])):
        raise platform_error(
            grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", "a call for one tenant is told nothing of another"
        )
