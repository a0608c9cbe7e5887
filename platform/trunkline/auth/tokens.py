"""Tokens as this system makes them: JWTs (RFC 7519) signed with Ed25519 (RFC 8037). Verifying is `verifier`'s."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trunkline.clock import SYSTEM_CLOCK, Clock

ALGORITHM = "EdDSA"
"""The one algorithm that tokens are signed with."""
MAX_LIFETIME_S = 900
"""No token lives longer, in seconds."""
LIFETIMES_S: Mapping[str, int] = {"user": MAX_LIFETIME_S, "terminal": MAX_LIFETIME_S, "service": 300}
"""Life of a new token by kind, in seconds."""
MAX_TOKEN_CHARS = 1024
"""Longest token. Two travel with a call: with all our other headers they stay below 4 KB, and far from the 8 KB over
which gRPC refuses some calls and not others. The longest of the retail system has some 700."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says of its bearer. One that breaks the rules of its kind cannot be built."""

    kind: str
    """`user`, `terminal` or `service` (header `typ`)."""
    subject: str
    """Who the bearer is (`sub`)."""
    credential_id: str
    """Credential the token was exchanged for (`cred`)."""
    scopes: frozenset[str] = frozenset()
    """What the bearer may do (`scopes`)."""
    tenant_id: str = ""
    """Tenant of a user or terminal (`tenant`); empty for a service."""
    store_code: str = ""
    """Store of a terminal (`store`); empty for others."""
    terminal_no: int = 0
    """Number of a terminal in its store (`terminal`); 0 for others."""
    currency_code: str = ""
    """Currency of the tenant, which never changes (`cur`); empty for a service."""

    def __post_init__(self) -> None:
        if self.kind not in LIFETIMES_S:
            raise ValueError("unknown kind of token")
        if not self.subject or not self.credential_id:
            raise ValueError("a token names its subject and its credential")
        is_service = self.kind == "service"
        if bool(self.tenant_id) == is_service or (self.currency_code and is_service):
            raise ValueError("every token but a service's belongs to a tenant")
        is_terminal = self.kind == "terminal"
        if bool(self.store_code) != is_terminal or (self.terminal_no > 0) != is_terminal or self.terminal_no < 0:
            raise ValueError("a terminal's token, and no other, names store and terminal")

    @classmethod
    def of_payload(cls, kind: str, payload: Mapping[str, Any]) -> Claims:
        """The claims in a decoded payload.

        Raises:
            ValueError: one is missing, of the wrong type, or not of this kind.
        """
        scopes = payload.get("scopes")
        if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope for scope in scopes):
            raise ValueError("scopes is no list of texts")
        terminal_no = payload.get("terminal", 0)
        if type(terminal_no) is not int or ("terminal" in payload and terminal_no < 1):
            raise ValueError("terminal is no number from 1")
        return cls(
            kind=kind,
            subject=_text(payload, "sub"),
            credential_id=_text(payload, "cred"),
            scopes=frozenset(scopes),
            tenant_id=_text(payload, "tenant"),
            store_code=_text(payload, "store"),
            terminal_no=terminal_no,
            currency_code=_text(payload, "cur"),
        )

    def payload(self) -> dict[str, Any]:
        """These claims as they stand in a token's payload."""
        payload: dict[str, Any] = {"sub": self.subject, "cred": self.credential_id, "scopes": sorted(self.scopes)}
        if self.tenant_id:
            payload["tenant"] = self.tenant_id
        if self.currency_code:
            payload["cur"] = self.currency_code
        if self.kind == "terminal":
            payload["store"], payload["terminal"] = self.store_code, self.terminal_no
        return payload


class SignedToken(NamedTuple):
    """A new token."""

    token: str
    """The signed JWT."""
    expire_time: datetime
    """When it stops being valid."""

    def __repr__(self) -> str:
        return f"SignedToken(expire_time={self.expire_time!r})"


class TokenSigner:
    """Makes tokens with one private key."""

    def __init__(self, key_id: str, private_key: Ed25519PrivateKey, issuer: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._key_id = key_id
        self._private_key = private_key
        self._issuer = issuer
        self._clock = clock

    def sign(self, claims: Claims, *, audience: str) -> SignedToken:
        """A new token with these claims, for the life of its kind.

        Raises:
            ValueError: the token would be longer than anybody accepts.
        """
        issued = int(self._clock.now().timestamp())
        expires = issued + LIFETIMES_S[claims.kind]
        payload = claims.payload()
        payload |= {"iss": self._issuer, "aud": audience, "iat": issued, "exp": expires, "jti": uuid.uuid4().hex}
        token = jwt.encode(
            payload, self._private_key, algorithm=ALGORITHM, headers={"typ": claims.kind, "kid": self._key_id}
        )
        if len(token) > MAX_TOKEN_CHARS:
            raise ValueError(f"a token has at most {MAX_TOKEN_CHARS} characters")
        return SignedToken(token, datetime.fromtimestamp(expires, UTC))


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name, "")
    if not isinstance(value, str) or (name in payload and not value):
        raise ValueError(f"{name} is no text")
    return value
