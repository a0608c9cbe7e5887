"""Roles of users: what each may do, and who may give it."""

from __future__ import annotations

from collections.abc import Iterable

from services.account.domain.grant import PLATFORM_ADMIN, SHOP_READ, SHOP_WRITE
from services.kernel.failure import InvalidInput

ROLES = {
    "admin": frozenset({SHOP_READ, SHOP_WRITE}),
    "auditor": frozenset({SHOP_READ}),
}
"""Scopes of each role. No role has a scope that keys of a back office lack."""


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """What the holder of these roles may do; InvalidInput / ROLE_UNKNOWN."""
    found: frozenset[str] = frozenset()
    for role in roles:
        if role not in ROLES:
            raise InvalidInput("ROLE_UNKNOWN", f"there is no such role: give one of {', '.join(ROLES)}", role=role)
        found |= ROLES[role]
    return found


def role_beyond(roles: Iterable[str], own_scopes: frozenset[str]) -> str | None:
    """The first role with a scope that these lack, or None: whoever has them may give and take all of the roles."""
    if PLATFORM_ADMIN in own_scopes:
        return None
    return next((role for role in roles if not scopes_of([role]) <= own_scopes), None)
