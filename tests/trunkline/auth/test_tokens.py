"""Tokens as they are made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jwt
import pytest
from trunkline.auth.tokens import Claims

from tests.trunkline.auth.identity_system import AUDIENCE, SERVICE, TERMINAL, USER


def _open(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def test_terminal_token_says_who_where_and_for_how_long(system):
    """A terminal's token has the header and every claim of the design, and lives 15 minutes."""
    header, payload = _open(system.token(TERMINAL))
    assert header == {"alg": "EdDSA", "kid": "k1", "typ": "terminal"}
    jti = payload.pop("jti")
    assert len(jti) == 32
    assert payload == {
        "iss": "trunkline", "aud": AUDIENCE, "sub": "t1", "cred": "c2", "tenant": "acme", "cur": "JPY",
        "scopes": ["till"], "store": "S1", "terminal": 3, "iat": system.now, "exp": system.now + 900,
    }  # fmt: skip


def test_service_token_has_no_tenant_and_lives_five_minutes(system):
    """A service belongs to no tenant, and its token expires after 300 seconds."""
    signed = system.signer.sign(SERVICE, audience=AUDIENCE)
    _, payload = _open(signed.token)
    assert {"tenant", "cur", "store", "terminal"}.isdisjoint(payload)
    assert payload["exp"] - payload["iat"] == 300
    assert int(signed.expire_time.timestamp()) == payload["exp"]


def test_every_token_has_an_id_of_its_own(system):
    """Two tokens of the same second differ in jti."""
    first, second = (_open(system.token(USER))[1]["jti"] for _ in range(2))
    assert first != second


def test_printed_token_hides_itself(system):
    """A token that ends up in a log line or a traceback shows only when it expires."""
    signed = system.signer.sign(USER, audience=AUDIENCE)
    assert signed.token not in repr(signed)


def test_token_nobody_would_accept_is_not_signed(system):
    """A token over the limit fails where it is made, not where it is used."""
    with pytest.raises(ValueError, match="1024"):
        system.token(replace(USER, subject="x" * 1024))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "root"},
        {"subject": ""},
        {"credential_id": ""},
        {"tenant_id": ""},
        {"store_code": "S1"},
        {"terminal_no": 1},
        {"kind": "service"},
        {"kind": "service", "tenant_id": "", "currency_code": "JPY"},
        {"kind": "terminal"},
        {"kind": "terminal", "store_code": "S1"},
        {"kind": "terminal", "terminal_no": 1},
        {"kind": "terminal", "store_code": "S1", "terminal_no": -1},
    ],
)
def test_claims_that_break_the_rules_of_their_kind_cannot_be_built(change):
    """A service has no tenant, everybody else has one; store and terminal belong to terminals alone."""
    with pytest.raises(ValueError):
        replace(USER, **change)


@pytest.mark.parametrize("claims", [USER, TERMINAL, SERVICE], ids=lambda claims: claims.kind)
def test_claims_come_back_from_their_payload(claims):
    """What a payload says is what was put into it."""
    assert Claims.of_payload(claims.kind, claims.payload()) == claims
