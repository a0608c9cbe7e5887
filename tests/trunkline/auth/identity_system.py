"""A system with one signing key, for the tests of identity."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunk.identity.v1 import identity_service_pb2 as pb
from trunkline.auth.keys import PublicKeys
from trunkline.auth.tokens import Claims, TokenSigner
from trunkline.auth.verifier import TokenVerifier
from trunkline.errors import ServiceError
from trunkline.testing.clock import FakeClock

ISSUER = "trunkline"
AUDIENCE = "shop"


def public_key(key_id: str, private_key: Ed25519PrivateKey) -> pb.PublicKey:
    """The key as the identity service lists it."""
    return pb.PublicKey(key_id=key_id, algorithm="EdDSA", public_key=private_key.public_key().public_bytes_raw())


@dataclass
class KeyServer:
    """Stands for the identity service's list of keys; counts how often it is asked."""

    keys: Sequence[pb.PublicKey] = ()
    failure: ServiceError | None = None
    asked: int = 0

    async def fetch(self) -> Sequence[pb.PublicKey]:
        """The keys, or the failure."""
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.keys


@dataclass
class System:
    """One system: its signing key, its list of keys, and the clock that all look at."""

    clock: FakeClock
    private_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    server: KeyServer = field(default_factory=KeyServer)

    def __post_init__(self) -> None:
        self.server.keys = [public_key("k1", self.private_key)]
        self.signer = TokenSigner("k1", self.private_key, ISSUER, self.clock)
        self.keys = PublicKeys(self.server.fetch, None, self.clock)
        self.verifier = TokenVerifier(self.keys, ISSUER, AUDIENCE, self.clock)

    @property
    def now(self) -> int:
        """The second it is."""
        return int(self.clock.now().timestamp())

    def token(self, claims: Claims) -> str:
        """A token as this system makes it."""
        return self.signer.sign(claims, audience=AUDIENCE).token

    def payload(self, **changes: Any) -> dict[str, Any]:
        """The payload of a good user's token with changes; None takes a claim away."""
        payload = USER.payload() | {"iss": ISSUER, "aud": AUDIENCE, "jti": "j1"}
        payload |= {"iat": self.now, "exp": self.now + 900} | changes
        return {name: value for name, value in payload.items() if value is not None}

    def forge(self, header: dict[str, Any] | None = None, key: Ed25519PrivateKey | None = None, **changes: Any) -> str:
        """A token with any header and claims, signed with the system's key unless another is given."""
        return self.sign_raw(segment(self.payload(**changes)), header, key)

    def sign_raw(self, payload: str, header: dict[str, Any] | None = None, key: Ed25519PrivateKey | None = None) -> str:
        """A token around any payload; built by hand, since PyJWT does not write all it must refuse."""
        fields = {"alg": "EdDSA", "kid": "k1", "typ": "user"} | (header or {})
        signed = f"{segment({name: value for name, value in fields.items() if value is not None})}.{payload}"
        return f"{signed}.{segment((key or self.private_key).sign(signed.encode()))}"


def segment(content: object) -> str:
    """One of the three parts of a token: bytes as they are, anything else as JSON."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


USER = Claims(
    kind="user", subject="api-key", credential_id="c1", tenant_id="acme", scopes=frozenset({"shop.read", "shop.write"})
)
TERMINAL = Claims(
    kind="terminal",
    subject="t1",
    credential_id="c2",
    tenant_id="acme",
    currency_code="JPY",
    scopes=frozenset({"till"}),
    store_code="S1",
    terminal_no=3,
)
SERVICE = Claims(kind="service", subject="cart", credential_id="c3")
