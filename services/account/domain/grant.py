"""What a credential is worth: whom its tokens stand for, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from services.account.domain.api_key import ApiKey, ApiKeyKind

ROOT_ID = "root"
"""Id of the root credential, and subject of its tokens."""
PLATFORM_ADMIN = "platform.admin"
"""Scope of the root credential: tenants, and credentials of every kind."""
SHOP_READ = "shop.read"
"""Scope of a back office that may look at its tenant's records."""
SHOP_WRITE = "shop.write"
"""Scope of a back office that may change its tenant's records."""

SCOPES = {
    ApiKeyKind.ADMIN: frozenset({SHOP_READ, SHOP_WRITE}),
    ApiKeyKind.TERMINAL: frozenset({"till"}),
    ApiKeyKind.SERVICE: frozenset[str](),
}
"""What the tokens of each kind of key may do."""

_TOKEN_KINDS = {ApiKeyKind.ADMIN: "user", ApiKeyKind.TERMINAL: "terminal", ApiKeyKind.SERVICE: "service"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token will say."""

    kind: str
    """`user`, `terminal` or `service`."""
    subject: str
    """Who bears it."""
    credential_id: str
    """Credential it is granted for."""
    scopes: frozenset[str]
    """What it may do."""
    tenant_id: str = ""
    """Tenant it belongs to; empty for services."""
    currency_code: str = ""
    """Currency of that tenant; empty for services."""
    store_code: str = ""
    """Store of a terminal."""
    terminal_no: int = 0
    """Number of a terminal in its store."""


ROOT = Grant(kind="service", subject=ROOT_ID, credential_id=ROOT_ID, scopes=frozenset({PLATFORM_ADMIN}))
"""What the root credential is worth."""


def grant_of(key: ApiKey, currency_code: str) -> Grant:
    """What a valid key is worth; currency_code is its tenant's, empty for a service."""
    return Grant(
        kind=_TOKEN_KINDS[key.kind],
        subject=_subject(key),
        credential_id=key.api_key_id,
        scopes=SCOPES[key.kind],
        tenant_id=key.tenant_id,
        currency_code=currency_code,
        store_code=key.store_code,
        terminal_no=key.terminal_no,
    )


def _subject(key: ApiKey) -> str:
    match key.kind:
        case ApiKeyKind.SERVICE:
            return key.service_name
        case ApiKeyKind.TERMINAL:
            return f"stores/{key.store_code}/terminals/{key.terminal_no}"
        case ApiKeyKind.ADMIN:
            return f"apiKeys/{key.api_key_id}"
