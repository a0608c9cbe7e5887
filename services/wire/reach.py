"""What a caller reaches: its own tenant always; a terminal only its own store and itself."""

from __future__ import annotations

from trunkline.call import Principal, current_call, require_tenant, require_terminal
from trunkline.errors import permission_denied

from services.kernel.ids import TerminalId
from services.wire.domains import SHARED


def require_store(store_code: str) -> str:
    """The tenant of the call, if it may look at this store.

    Raises:
        ServiceError: PERMISSION_DENIED / STORE_FOREIGN for another store than a terminal's own.
    """
    tenant_id = require_tenant()
    caller = _caller()
    if caller is not None and caller.kind == "terminal" and store_code and caller.store_code != store_code:
        error = permission_denied("STORE_FOREIGN", "a terminal reaches its own store only", store_code=store_code)
        error.domain = SHARED
        raise error
    return tenant_id


def own_store() -> str:
    """Store of the terminal that calls; empty where another caller does, who reaches all of the tenant's."""
    caller = _caller()
    return caller.store_code if caller is not None else ""


def own_terminal() -> TerminalId:
    """The terminal that calls.

    Raises:
        ServiceError: PERMISSION_DENIED / ACCESS_DENIED if no terminal calls.
    """
    principal = require_terminal()
    return TerminalId(principal.tenant_id, principal.store_code, principal.terminal_no)


def _caller() -> Principal | None:
    call = current_call()
    return call.caller if call is not None else None
