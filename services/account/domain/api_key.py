"""API keys: whom each stands for, and what its tokens may do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.kernel.failure import NotFound


class ApiKeyKind(StrEnum):
    """Whom a key stands for."""

    ADMIN = "ADMIN"
    TERMINAL = "TERMINAL"
    SERVICE = "SERVICE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A credential without its secret. One that breaks the rules of its kind cannot be built."""

    api_key_id: str
    """What stands before the dot in its credential; ids made later sort later."""
    kind: ApiKeyKind
    """Whom it stands for."""
    tenant_id: str = ""
    """Tenant it belongs to; empty for a service."""
    store_code: str = ""
    """Store of a terminal; empty for others."""
    terminal_no: int = 0
    """Number of a terminal in its store; 0 for others."""
    service_name: str = ""
    """Name of a service; empty for others."""
    description: str = ""
    """What it is for, in words."""
    create_time: datetime
    """When it was created."""
    revoke_time: datetime | None = None
    """When it was revoked; None while it is valid."""

    def __post_init__(self) -> None:
        is_service, is_terminal = self.kind is ApiKeyKind.SERVICE, self.kind is ApiKeyKind.TERMINAL
        if bool(self.service_name) != is_service or bool(self.tenant_id) == is_service:
            raise ValueError("a service's key names the service; every other belongs to a tenant")
        if bool(self.store_code) != is_terminal or (self.terminal_no > 0) != is_terminal:
            raise ValueError("a terminal's key, and no other, names store and terminal")

    def revoked(self, now: datetime) -> ApiKey:
        """This key, revoked now unless it was already."""
        return self if self.revoke_time is not None else replace(self, revoke_time=now)


def new_api_key_id(now: datetime, random_part: str) -> str:
    """An id that sorts by the millisecond it was made in, and cannot be guessed."""
    return f"k_{int(now.timestamp() * 1000):012x}{random_part}"


def api_key_missing(api_key_id: str) -> NotFound:
    """There is no such key in reach of the caller."""
    return NotFound("API_KEY_NOT_FOUND", "there is no such key", api_key_id=api_key_id)
