"""Tokens for tests: an issuer with a key, whoever it vouches for, the verifier that knows it, and tokens to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunk.identity.v1 import identity_service_pb2 as pb

from trunkline import headers
from trunkline.auth.keys import PublicKeys
from trunkline.auth.tokens import ALGORITHM, LIFETIMES_S, Claims, SignedToken, TokenSigner
from trunkline.auth.verifier import LEEWAY_S, TokenVerifier
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.settings import PlatformSettings

RENEW_S = 60
"""Seconds before its expiry from which a bearer's token is made anew."""
ISSUER = str(PlatformSettings.model_fields["token_issuer"].default)
"""Issuer and audience of tokens where settings name no other."""
STALE_S = max(LIFETIMES_S.values()) + LEEWAY_S + 1
"""Age in seconds at which no token is valid any more, whatever its kind."""


@dataclass(eq=False, slots=True)
class Bearer:
    """Somebody with a token that is always fresh. A credential: give it to `connect()`."""

    claims: Claims
    """What its tokens say."""
    clock: Clock
    """Tells when a token is to be made anew."""
    make: Callable[[Claims], SignedToken] = field(repr=False)
    """Makes a token."""
    _signed: SignedToken | None = field(default=None, init=False, repr=False)

    async def token(self) -> str:
        """A token that is valid now, unless this bearer is made to be refused."""
        return self.sign()

    def sign(self) -> str:
        """The same, where nothing is awaited."""
        now = self.clock.now()
        if self._signed is None or (self._signed.expire_time - now).total_seconds() < RENEW_S:
            self._signed = self.make(self.claims)
        return self._signed.token

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a caller without our client chain sends."""
        return ((headers.AUTHORIZATION, f"Bearer {self.sign()}"),)


class TokenFactory:
    """An issuer of tokens. Servers that are given its `verifier` know them, and nobody else's.

    tokens = TokenFactory()
    channel = connect("item", credential=tokens.user(scopes=["shop.read"]))
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, issuer: str = ISSUER) -> None:
        """Makes a key.

        Args:
            clock: Time of the tokens and of who verifies them.
            issuer: Who makes them, and whom they are for: a system has one name for both.
        """
        self.issuer = issuer
        """Issuer and audience of its tokens."""
        self._clock = clock
        self._key_id = uuid4().hex
        private_key = Ed25519PrivateKey.generate()
        raw = private_key.public_key().public_bytes_raw()
        self._public_key = pb.PublicKey(key_id=self._key_id, algorithm=ALGORITHM, public_key=raw)
        self._signer = TokenSigner(self._key_id, private_key, issuer, clock)
        self._late_signer = TokenSigner(self._key_id, private_key, issuer, _Behind(clock))
        self._forger = TokenSigner(self._key_id, Ed25519PrivateKey.generate(), issuer, clock)
        self._keys = PublicKeys(self._fetch, None, clock)
        self.verifier = TokenVerifier(self._keys, issuer, issuer, clock)
        """Knows its tokens; for `Service.verifier`."""

    def user(
        self, tenant: str = "acme", *, subject: str = "ada", scopes: Iterable[str] = (), currency_code: str = ""
    ) -> Bearer:
        """A user of a tenant."""
        return self.of(
            Claims(
                kind="user",
                subject=subject,
                credential_id=subject,
                tenant_id=tenant,
                scopes=frozenset(scopes),
                currency_code=currency_code,
            )
        )

    def terminal(
        self,
        tenant: str = "acme",
        *,
        store_code: str = "0001",
        terminal_no: int = 1,
        scopes: Iterable[str] = (),
        currency_code: str = "",
    ) -> Bearer:
        """A till in a store of a tenant."""
        name = f"{tenant}-{store_code}-{terminal_no}"
        return self.of(
            Claims(
                kind="terminal",
                subject=name,
                credential_id=name,
                tenant_id=tenant,
                scopes=frozenset(scopes),
                store_code=store_code,
                terminal_no=terminal_no,
                currency_code=currency_code,
            )
        )

    def service(self, name: str = "cart", *, scopes: Iterable[str] = ()) -> Bearer:
        """A service of the system."""
        return self.of(Claims(kind="service", subject=name, credential_id=name, scopes=frozenset(scopes)))

    def of(self, claims: Claims) -> Bearer:
        """Somebody with these claims."""
        return self._bearer(claims, self._signer)

    def expired(self, who: Bearer | None = None) -> Bearer:
        """The same one (a user where nobody is named) with tokens that were valid, and are no more."""
        return self._bearer(self._claims(who), self._late_signer)

    def forged(self, who: Bearer | None = None) -> Bearer:
        """Somebody who takes himself for that one: his tokens name this issuer's key, and another one signs them."""
        return self._bearer(self._claims(who), self._forger)

    def foreign(self, who: Bearer | None = None) -> Bearer:
        """The same one in another system: the tokens are good there, and neither key nor issuer is known here."""
        return TokenFactory(self._clock, f"not-{self.issuer}").of(self._claims(who))

    async def close(self) -> None:
        """Ends what the verifier has begun."""
        await self._keys.close()

    def _claims(self, who: Bearer | None) -> Claims:
        return (who or self.user()).claims

    def _bearer(self, claims: Claims, signer: TokenSigner) -> Bearer:
        return Bearer(claims, self._clock, lambda claims: signer.sign(claims, audience=self.issuer))

    async def _fetch(self) -> list[pb.PublicKey]:
        return [self._public_key]


class _Behind:
    """A clock that is late by so much that what is signed by it is not valid any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def monotonic(self) -> float:
        """That of the other clock: it is the calendar that is late."""
        return self._clock.monotonic()

    def now(self) -> datetime:
        """The instant it was."""
        return self._clock.now() - timedelta(seconds=STALE_S)
