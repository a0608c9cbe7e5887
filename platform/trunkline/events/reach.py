"""Whose events a call about events may see: all, or those of the tenant it is made for."""

from __future__ import annotations

from trunkline.call import current_call


def own_tenant() -> str:
    """Tenant that the call is made for; empty where a service asks for itself, and sees the events of all."""
    call = current_call()
    return call.tenant_id if call is not None else ""


def is_hidden(tenant_id: str) -> bool:
    """Whether what belongs to a tenant is, for this call, not there."""
    return own_tenant() not in ("", tenant_id)


def is_key_hidden(key: str) -> bool:
    """Whether what belongs to a key is, for this call, not there: keys begin with their tenant."""
    return is_hidden(key.partition("/")[0])
