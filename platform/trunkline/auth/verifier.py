"""Verifies tokens, as RFC 8725 asks: nothing a token says of itself is believed before its signature is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import jwt

from trunkline.auth.keys import PublicKeys, VerificationKey
from trunkline.auth.revocations import Revocations
from trunkline.auth.tokens import LIFETIMES_S, MAX_LIFETIME_S, MAX_TOKEN_CHARS, Claims
from trunkline.call import Principal
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import PLATFORM_DOMAIN, ServiceError

LEEWAY_S = 30
"""How far the clocks of two machines may be apart, in seconds."""
REFUSAL = "the call needs a token that is valid here"
"""The one text of every refusal, whatever is wrong with the token and where there is none."""

# The only header fields our tokens have. Any other (jku, x5u, jwk, crit, b64 ...) would ask to be obeyed.
_HEADER = {"alg", "kid", "typ"}
# Times are checked here, by our clock and as integers: PyJWT takes "12" and 1e18 for a time.
_OPTIONS: Any = {
    "require": ["iss", "aud", "sub", "iat", "exp", "jti", "scopes", "cred"],
    "strict_aud": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@dataclass(eq=False)
class TokenRefused(ServiceError):
    """A refusal of a token. Its caller learns one text; what was wrong is for this side's audit log."""

    code: grpc.StatusCode = grpc.StatusCode.UNAUTHENTICATED
    """UNAUTHENTICATED."""
    reason: str = "TOKEN_INVALID"
    """TOKEN_INVALID, or TOKEN_MISSING."""
    message: str = REFUSAL
    """The one text."""
    domain: str = field(default=PLATFORM_DOMAIN, kw_only=True)
    """The platform's."""
    why: str = field(default="", kw_only=True)
    """What was wrong, in words of ours; never sent, and nothing of the token is in it."""


class TokenVerifier:
    """Tells whose token it is. Verified tokens are remembered until they expire, are revoked, or their key goes."""

    def __init__(
        self,
        keys: PublicKeys,
        issuer: str,
        audience: str,
        clock: Clock = SYSTEM_CLOCK,
        *,
        revocations: Revocations | None = None,
        capacity: int = 4096,
    ) -> None:
        self.revocations = revocations or Revocations()
        """Credentials whose tokens are refused."""
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        # On the path of every call; `now` takes four times as long.
        self._monotonic = clock.monotonic
        self._capacity = capacity
        self._verified: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._version = keys.version

    def cached(self, token: str) -> Principal | None:
        """The bearer of a token that was verified before and still holds; None means: ask `verify`."""
        found = self._verified.get(token)
        if found is None:
            return None
        keys, now = self._keys, self._monotonic()
        if now >= keys.next_fetch:
            keys.refresh_if_due()
        if keys.version != self._version:
            self._forget_all()
            return None
        until, principal = found
        if now >= until or principal.credential_id in self.revocations.ids:
            del self._verified[token]
            return None
        self._verified.move_to_end(token)
        return principal

    async def verify(self, token: str) -> Principal:
        """The bearer of a token.

        Raises:
            ServiceError: UNAUTHENTICATED / TOKEN_INVALID, with one text whatever is wrong with it;
                UNAVAILABLE / KEYS_UNAVAILABLE while there are no keys to verify it with.
        """
        principal = self.cached(token)
        if principal is not None:
            return principal
        try:
            header = _header_of(token)
            key = await self._keys.find(header["kid"])
            if key is None:
                raise ValueError("no key of this id")
            payload = self._payload_of(token, key)
            left_s = _checked_life_s(payload, self._clock.now().timestamp())
            claims = Claims.of_payload(header["typ"], payload)
            if claims.credential_id in self.revocations.ids:
                raise ValueError("its credential is revoked")
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenRefused(why=_why(error)) from error
        expires_at = self._monotonic() + left_s
        principal = _principal(claims, token, expires_at)
        self._remember(token, expires_at + LEEWAY_S, principal)
        return principal

    def _payload_of(self, token: str, key: VerificationKey) -> Mapping[str, Any]:
        decoded: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            issuer=self._issuer,
            audience=self._audience,
            options=_OPTIONS,
        )
        return decoded

    def _remember(self, token: str, until: float, principal: Principal) -> None:
        if self._keys.version != self._version:
            self._forget_all()
        self._verified[token] = (until, principal)
        if len(self._verified) > self._capacity:
            self._verified.popitem(last=False)

    def _forget_all(self) -> None:
        self._verified.clear()
        self._version = self._keys.version


def _header_of(token: str) -> Mapping[str, str]:
    if len(token) > MAX_TOKEN_CHARS:
        raise ValueError("longer than any token of ours")
    header = jwt.get_unverified_header(token)
    if header.keys() != _HEADER or not all(isinstance(value, str) for value in header.values()):
        raise ValueError("header fields other than alg, kid and typ")
    if header["typ"] not in LIFETIMES_S:
        raise ValueError("not a kind of token")
    return header


def _checked_life_s(payload: Mapping[str, Any], now: float) -> float:
    issued, expires, not_before = payload["iat"], payload["exp"], payload.get("nbf", 0)
    if type(issued) is not int or type(expires) is not int or type(not_before) is not int:
        raise ValueError("times are integers")
    if not 0 < expires - issued <= MAX_LIFETIME_S:
        raise ValueError("lives longer than any token of ours")
    if max(issued, not_before) > now + LEEWAY_S:
        raise ValueError("not valid yet")
    if expires <= now - LEEWAY_S:
        raise ValueError("expired")
    return expires - now


def _principal(claims: Claims, token: str, expires_at: float) -> Principal:
    return Principal(
        kind=claims.kind,
        subject=claims.subject,
        tenant_id=claims.tenant_id,
        scopes=claims.scopes,
        store_code=claims.store_code,
        terminal_no=claims.terminal_no,
        currency_code=claims.currency_code,
        credential_id=claims.credential_id,
        token=token,
        expires_at=expires_at,
    )


def _why(error: Exception) -> str:
    # Texts of libraries may quote the token; ours do not.
    return str(error) if type(error) is ValueError else type(error).__name__
