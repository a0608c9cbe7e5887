"""Headers that must be refused, each made for a system whose keys the forger has seen, but not stolen."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.trunkline.auth.identity_system import SERVICE, USER, System, segment

Bad = Callable[[System], str | None]
"""Makes the value of `authorization`; None: there is none."""
STRANGER = Ed25519PrivateKey.generate()
ELSEWHERE = "http://127.0.0.1:9/keys.json"
FILE = "/tmp/trunkline-key-that-is-not-there.pem"


def forged(header: dict[str, Any] | None = None, key: Ed25519PrivateKey | None = None, **claims: Any) -> Bad:
    """A token with any header and claims under the system's own signature, unless another key is given."""
    return lambda system: "Bearer " + system.forge(header, key, **claims)


def later(**seconds: int) -> Bad:
    """A token whose times are so many seconds from now."""

    def make(system: System) -> str:
        times: dict[str, Any] = {name: system.now + value for name, value in seconds.items()}
        return "Bearer " + system.forge(**times)

    return make


def unsigned(alg: str) -> Bad:
    """A token without a signature."""

    def make(system: System) -> str:
        header = {"alg": alg, "typ": "user", "kid": "k1"}
        return f"Bearer {segment(header)}.{segment(system.payload())}."

    return make


def shared(secret: Callable[[Any], bytes]) -> Bad:
    """A token under HS256 with something public as its secret (CVE-2016-10555, CVE-2026-48526)."""

    def make(system: System) -> str:
        signed = f"{segment({'alg': 'HS256', 'typ': 'user', 'kid': 'k1'})}.{segment(system.payload())}"
        mac = hmac.new(secret(system.private_key.public_key()), signed.encode(), hashlib.sha256).digest()
        return f"Bearer {signed}.{segment(mac)}"

    return make


def _pem(public: Any) -> bytes:
    pem: bytes = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def jwk_of(public: Any) -> dict[str, str]:
    """A public key as a JWK."""
    x = base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x}


def _jwk(public: Any) -> bytes:
    return json.dumps(jwk_of(public)).encode()


def _swapped(system: System) -> str:
    header, _, signature = system.token(USER).split(".")
    return f"Bearer {header}.{segment(system.payload(tenant='rival'))}.{signature}"


NO_TOKEN: dict[str, Bad] = {
    "no token": lambda _: None,
    "an empty header": lambda _: "",
    "Bearer only": lambda _: "Bearer",
    "Bearer and a blank": lambda _: "Bearer ",
    "another scheme": lambda system: f"Basic {system.token(USER)}",
    "no scheme": lambda system: system.token(USER),
    "two blanks": lambda system: f"Bearer  {system.token(USER)}",
    "a token and more": lambda system: f"Bearer {system.token(USER)} more",
    "junk of 7 KB": lambda _: "Bearer " + "x" * 7000,
    "junk with points": lambda _: "Bearer a.b.c",
    "only points": lambda _: "Bearer ..",
}
TIMES: dict[str, Bad] = {
    "expired": later(iat=-900, exp=-31),
    "nbf in the future": later(nbf=31),
    "iat in the future": later(iat=31, exp=91),
    "exp missing": forged(exp=None),
    "exp a text": forged(exp="99999999999"),
    "exp 1e18": forged(exp=10**18),
    "exp a float": forged(exp=1e18),
    "exp negative": forged(exp=-1),
    "lives a day": later(exp=86_400),
}
SIGNATURES: dict[str, Bad] = {
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg empty": unsigned(""),
    "alg HS256, signed with our key": forged({"alg": "HS256"}),
    "alg RS256": forged({"alg": "RS256"}),
    "HS256 with the public key as PEM": shared(_pem),
    "HS256 with the public key's bytes": shared(lambda public: public.public_bytes_raw()),
    "HS256 with the public key as JWK": shared(_jwk),
    "HS256 with an empty secret": shared(lambda _: b""),
    "signed by a stranger": forged(key=STRANGER),
    "claims changed afterwards": _swapped,
    "crit": forged({"crit": ["exp"]}),
    "crit of an unknown field": forged({"crit": ["http://example.invalid/role"]}),
    "b64 false": forged({"b64": False, "crit": ["b64"]}),
    "compressed": forged({"zip": "DEF"}),
}
KINDS: dict[str, Bad] = {
    "typ missing": forged({"typ": None}),
    "typ JWT": forged({"typ": "JWT"}),
    "typ of another kind of token": forged({"typ": "refresh"}),
    "a service's token as a user's": lambda system: "Bearer " + system.sign_raw(segment(_service(system))),
    "a user's token as a service's": forged({"typ": "service"}),
    "a user's token as a terminal's": forged({"typ": "terminal"}),
    "aud of another system": forged(aud="bank"),
    "aud missing": forged(aud=None),
    "aud a list with ours": forged(aud=["shop", "bank"]),
    "iss of another system": forged(iss="evil"),
    "iss missing": forged(iss=None),
    "sub missing": forged(sub=None),
    "cred missing": forged(cred=None),
    "scopes a text": forged(scopes="bench.read"),
}
KEYS: dict[str, Bad] = {
    "kid unknown": forged({"kid": "k2"}),
    "kid missing": forged({"kid": None}),
    "kid a path": forged({"kid": "../../../../dev/null"}),
    "kid a file": forged({"kid": FILE}),
    "kid SQL": forged({"kid": "' OR 1=1 --"}),
    "kid an address": forged({"kid": ELSEWHERE}),
    "kid with a null": forged({"kid": "k1\x00"}),
    "kid a list": forged({"kid": ["k1"]}),
    "jku": forged({"jku": ELSEWHERE}, STRANGER),
    "x5u": forged({"x5u": ELSEWHERE}, STRANGER),
    "x5c": forged({"x5c": ["MIIB"]}, STRANGER),
    "jwk of the forger": forged({"jwk": jwk_of(STRANGER.public_key())}, STRANGER),
    "jku, and our own signature": forged({"jku": ELSEWHERE}),
    "x5u of a file": forged({"x5u": f"file://{FILE}"}),
}


def _service(system: System) -> dict[str, Any]:
    return SERVICE.payload() | {
        "iss": "trunkline", "aud": "shop", "jti": "j1", "iat": system.now, "exp": system.now + 300
    }  # fmt: skip
