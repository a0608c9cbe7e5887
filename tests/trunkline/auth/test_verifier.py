"""Which tokens are accepted: the cases of RFC 8725, and our own limits."""

from __future__ import annotations

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trunkline.auth.verifier import LEEWAY_S, REFUSAL
from trunkline.errors import ServiceError

from tests.trunkline.auth.identity_system import SERVICE, TERMINAL, USER, segment

OTHER_KEY = Ed25519PrivateKey.generate()


async def _refused(system, token: str) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await system.verifier.verify(token)
    error = caught.value
    assert (error.code, error.reason, error.domain) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", "trunk")
    assert error.message == REFUSAL
    assert not error.metadata
    assert system.verifier.cached(token) is None
    return error


@pytest.mark.parametrize("claims", [USER, TERMINAL, SERVICE], ids=lambda claims: claims.kind)
async def test_good_token_names_its_bearer(system, claims):
    """The principal has the kind and every claim of the token, and the token itself to be forwarded."""
    token = system.token(claims)
    principal = await system.verifier.verify(token)
    assert (principal.kind, principal.subject, principal.tenant_id) == (claims.kind, claims.subject, claims.tenant_id)
    assert (principal.store_code, principal.terminal_no) == (claims.store_code, claims.terminal_no)
    assert (principal.scopes, principal.credential_id) == (claims.scopes, claims.credential_id)
    assert (principal.currency_code, principal.token) == (claims.currency_code, token)


BAD_CLAIMS = {
    "iss missing": {"iss": None},
    "iss of another system": {"iss": "evil"},
    "iss list": {"iss": ["trunkline"]},
    "aud missing": {"aud": None},
    "aud of another system": {"aud": "bank"},
    "aud list with ours": {"aud": ["shop", "bank"]},
    "sub missing": {"sub": None},
    "sub empty": {"sub": ""},
    "sub number": {"sub": 7},
    "jti missing": {"jti": None},
    "jti number": {"jti": 7},
    "cred missing": {"cred": None},
    "cred empty": {"cred": ""},
    "scopes missing": {"scopes": None},
    "scopes text": {"scopes": "shop.read shop.write"},
    "scopes of numbers": {"scopes": [1]},
    "scopes nested": {"scopes": [["till"]]},
    "exp missing": {"exp": None},
    "exp text": {"exp": "99999999999"},
    "exp float": {"exp": 1e18},
    "exp boolean": {"exp": True},
    "exp far away": {"exp": 10**18},
    "exp negative": {"exp": -1},
    "iat missing": {"iat": None},
    "iat text": {"iat": "0"},
    "iat boolean": {"iat": True},
    "nbf text": {"nbf": "0"},
    "tenant missing": {"tenant": None},
    "tenant empty": {"tenant": ""},
    "tenant number": {"tenant": 7},
    "currency number": {"cur": 7},
    "currency empty": {"cur": ""},
    "store in a user's": {"store": "S1"},
    "terminal in a user's": {"terminal": 1},
    "terminal 0 in a user's": {"terminal": 0},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
async def test_signed_token_with_bad_claims_is_refused(system, changes):
    """The right signature does not help a token whose claims are missing, mistyped or another system's."""
    await _refused(system, system.forge(**changes))


BAD_KINDS = {
    "service with a tenant": ("service", {}),
    "service with a currency": ("service", {"tenant": None, "cur": "JPY"}),
    "terminal without store and number": ("terminal", {}),
    "terminal without number": ("terminal", {"store": "S1"}),
    "terminal without store": ("terminal", {"terminal": 1}),
    "terminal number as text": ("terminal", {"store": "S1", "terminal": "1"}),
    "terminal number as boolean": ("terminal", {"store": "S1", "terminal": True}),
    "user that is a service": ("user", {"tenant": None}),
    "kind of another token": ("at+jwt", {}),
    "kind JWT": ("JWT", {}),
    "kind in capitals": ("USER", {}),
    "no kind": (None, {}),
    "kind list": (["user"], {}),
}


@pytest.mark.parametrize(("kind", "changes"), BAD_KINDS.values(), ids=BAD_KINDS.keys())
async def test_token_of_one_kind_does_not_pass_as_another(system, kind, changes):
    """`typ` is one of ours, and the claims are those of that kind and no other."""
    await _refused(system, system.forge({"typ": kind}, **changes))


@pytest.mark.parametrize(
    "kid", ["k2", "../../dev/null", "/etc/passwd", "' OR 1=1 --", "", "K1", "k1 ", "k1\x00", None, 7, ["k1"], {"a": 1}]
)
async def test_unknown_key_id_is_refused(system, kid):
    """A key id is looked up among the known ones and nowhere else."""
    await _refused(system, system.forge({"kid": kid}))


@pytest.mark.parametrize(
    "extra",
    [
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": segment(OTHER_KEY.public_key().public_bytes_raw())}},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"cty": "JWT"},
        {"zip": "DEF"},
    ],
    ids=lambda extra: ",".join(extra),
)
async def test_header_that_asks_to_be_obeyed_is_refused(system, extra):
    """Only alg, kid and typ may stand in a header, even under our own signature."""
    await _refused(system, system.forge(extra))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS256", "ES256", "RS256", "Ed25519", "eddsa"])
async def test_other_algorithm_is_refused(system, alg):
    """A key is used with its own algorithm, whatever the header says."""
    token = system.forge({"alg": alg})
    await _refused(system, token)
    await _refused(system, token[: token.rindex(".") + 1])


async def test_public_key_is_no_shared_secret(system):
    """HS256 signed with the public key, as text or as bytes, is refused."""
    public = system.private_key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "typ": "user", "kid": "k1"}
    signed = f"{segment(header)}.{segment(system.payload())}"
    for secret in (public.public_bytes_raw(), pem):
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        # PyJWT's prepare_key refuses PEM as a secret; an attacker would not ask it.
        await _refused(system, f"{signed}.{segment(signature.sign(signed.encode(), secret))}")


async def test_signature_of_another_key_is_refused(system):
    """The key id of ours does not make another's signature ours."""
    await _refused(system, system.forge(key=OTHER_KEY))


async def test_changed_payload_is_refused(system):
    """A claim changed after signing breaks the token."""
    header, _, signature = system.token(USER).split(".")
    await _refused(system, f"{header}.{segment(system.payload(tenant='rival'))}.{signature}")


JUNK = {
    "empty": "",
    "dots": "..",
    "one part": "abc",
    "two parts": "abc.def",
    "bearer": "Bearer",
    "8 KB": "x" * 8192,
    "not base64": "?.?.?",
    "not ASCII": "é.ü.ß",
    "lone surrogate": "\ud800.a.b",
    "header no object": f"{segment([1])}.{segment({})}.AA",
    "header not JSON": f"{segment(b'{')}.{segment({})}.AA",
    "header nested deeply": f"{segment(b'[' * 1500)}.e30.AA",
    "header huge number": f"{segment(b'9' * 1500)}.e30.AA",
}


@pytest.mark.parametrize("token", JUNK.values(), ids=JUNK.keys())
async def test_junk_is_refused(system, token):
    """What is no token at all is refused like any bad one."""
    await _refused(system, token)


@pytest.mark.parametrize("payload", [b"[]", b"{", b"", b"7", b"\xff", b"[" * 1200])
async def test_signed_payload_that_is_no_object_is_refused(system, payload):
    """A payload is a JSON object."""
    await _refused(system, system.sign_raw(segment(payload)))


async def test_long_token_is_refused_even_when_signed(system):
    """Over 1024 characters nothing is looked at."""
    await _refused(system, system.forge(padding="x" * 1024))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), with_=st.characters(codec="ascii"))
async def test_any_change_of_one_character_is_refused(system, at, with_):
    """No other text passes for a token of ours, and none makes verifying fail in another way."""
    token = system.forge()
    at %= len(token)
    changed = token[:at] + with_ + token[at + 1 :]
    if changed != token:
        await _refused(system, changed)


@pytest.mark.parametrize(
    ("late_s", "accepted"), [(0, True), (899, True), (899 + LEEWAY_S, True), (900 + LEEWAY_S, False), (9000, False)]
)
async def test_token_expires_half_a_minute_after_its_time(system, late_s, accepted):
    """A clock that is up to 30 s late still accepts a token, no more."""
    token = system.token(USER)
    system.clock.advance(late_s)
    if accepted:
        assert (await system.verifier.verify(token)).subject == USER.subject
    else:
        await _refused(system, token)


@pytest.mark.parametrize("name", ["iat", "nbf"])
@pytest.mark.parametrize(("ahead_s", "accepted"), [(LEEWAY_S, True), (LEEWAY_S + 1, False), (3600, False)])
async def test_token_from_the_future_is_refused(system, name, ahead_s, accepted):
    """A token made, or valid, more than 30 s ahead of our clock is refused."""
    now = system.now
    token = system.forge(**{name: now + ahead_s, "exp": now + ahead_s + 60 if name == "iat" else now + 60})
    if accepted:
        await system.verifier.verify(token)
    else:
        await _refused(system, token)


@pytest.mark.parametrize(("life_s", "accepted"), [(900, True), (901, False), (0, False), (-1, False)])
async def test_no_token_lives_longer_than_fifteen_minutes(system, life_s, accepted):
    """Our own signature does not make a token of a day valid."""
    token = system.forge(exp=system.now + life_s)
    if accepted:
        await system.verifier.verify(token)
    else:
        await _refused(system, token)
