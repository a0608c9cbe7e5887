"""The largest call that is legal: two tokens of the longest kind, and every header we send."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import headers
from trunkline.auth.tokens import MAX_TOKEN_CHARS, Claims, TokenSigner
from trunkline.testing.clock import FakeClock

from services.account.domain.role import ROLES
from tests.faults.identity.stage import bearer, outcome, stage
from tests.trunkline.auth.identity_system import AUDIENCE, ISSUER, SERVICE, USER, System, segment

CALLS = 200
ROOM_BYTES = 4096
"""Half of what gRPC takes without complaint."""
ENTRY_BYTES = 32
"""What HTTP/2 counts for an entry beside name and value (RFC 9113, 6.5.2)."""
OWN = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/trunk.testing.v1.EffectService/Add",
    ":authority": "some-service.some-namespace.svc.cluster.local:50051",
    "te": "trailers",
    "content-type": "application/grpc",
    "user-agent": "trunkline grpc-python-asyncio/1.85.1 grpc-c/54.0.0 (linux; chttp2)",
    "grpc-accept-encoding": "identity, deflate, gzip",
    "grpc-timeout": "99999999m",
}
"""What gRPC adds."""


def longest(system: System, kind: str) -> str:
    """A valid token of the longest length that is accepted."""
    claims = SERVICE if kind == "service" else USER
    payload = claims.payload() | {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "jti": "j",
        "iat": system.now,
        "exp": system.now + 300,
    }
    for padding in range(MAX_TOKEN_CHARS):
        token = system.sign_raw(segment(payload | {"padding": "x" * padding}), {"typ": kind})
        if len(token) >= MAX_TOKEN_CHARS - 1:
            return token
    raise AssertionError("no padding is long enough")


def largest(system: System) -> tuple[tuple[str, str], ...]:
    """Everything our chains send, each as long as it may be."""
    return (
        *bearer(longest(system, "service"), longest(system, "user")),
        (headers.TRACEPARENT, f"00-{'a' * 32}-{'b' * 16}-01"),
        (headers.TRACESTATE, "k=" + "v" * 510),
        (headers.REQUEST_ID, "r" * 128),
        (headers.PREVIOUS_ATTEMPTS, "4"),
    )


async def test_the_largest_call_is_never_refused():
    """C6: two hundred calls with both tokens at their longest, and every header of ours: none fails, all below 4 KB."""
    system = System(FakeClock())
    async with stage(system) as on:
        metadata = largest(system)
        for number in range(CALLS):
            key = str(number).zfill(128)
            sent = (*metadata, (headers.IDEMPOTENCY_KEY, key))
            assert await outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=sent)) is None
        assert on.effects.value == CALLS
    entries = {**OWN, **dict(sent)}
    size = sum(len(name) + len(value) + ENTRY_BYTES for name, value in entries.items())
    assert size < ROOM_BYTES, size


def _terminal() -> Claims:
    return Claims(
        kind="terminal",
        subject=f"stores/{'s' * 32}/terminals/9999",
        credential_id="k_" + "0" * 22,
        tenant_id="t" * 40,
        currency_code="JPY",
        scopes=frozenset({"till"}),
        store_code="s" * 32,
        terminal_no=9999,
    )


def _user() -> Claims:
    scopes = frozenset[str]().union(*ROLES.values())
    return Claims(
        kind="user",
        subject="users/" + "u" * 64,
        credential_id="u_" + "0" * 22,
        tenant_id="t" * 40,
        currency_code="JPY",
        scopes=scopes,
    )


@pytest.mark.parametrize(
    "claims", [_terminal(), _user(), Claims(kind="service", subject="s" * 32, credential_id="k_" + "0" * 22)],
    ids=lambda claims: claims.kind,
)  # fmt: skip
def test_the_longest_tokens_of_the_shop_have_room(claims: Any):
    """C6: names as long as the contracts allow and every scope there is take three quarters of the longest token."""
    system = System(FakeClock())
    signer = TokenSigner("20260105T090000Z-0a1b2c3d", system.private_key, "trunkline", system.clock)
    assert len(signer.sign(claims, audience="trunkline").token) < MAX_TOKEN_CHARS * 3 / 4


def test_a_token_that_nobody_would_accept_is_not_made():
    """C6: whoever grants too many scopes is told so when the token is made, not when it is used."""
    system = System(FakeClock())
    claims = Claims(
        kind="user", subject="u", credential_id="c", tenant_id="t",
        scopes=frozenset(uuid.uuid5(uuid.NAMESPACE_DNS, str(number)).hex for number in range(30)),
    )  # fmt: skip
    with pytest.raises(ValueError, match="at most 1024"):
        system.signer.sign(claims, audience=AUDIENCE)
