"""Several credentials in an explicit order: nothing falls back silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from trunkline.auth.credential import CredentialAbsent
from trunkline.auth.credential_chain import CredentialChain, ForwardedToken, Link, NoCredential, Picked, TokenFile
from trunkline.call import InboundCall, Principal, serving
from trunkline.errors import ServiceError, platform_error, unauthenticated
from trunkline.policies.credentials import REFUSED_S
from trunkline.testing.clock import FakeClock

REFUSED = unauthenticated("CREDENTIAL_INVALID", "the credential is not valid")
AWAY = platform_error(grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE", "nobody there")
OPEN = platform_error(grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING", "the credential file is open to others")
BY_STATE: dict[str, Any] = {"absent": CredentialAbsent, "refused": REFUSED, "away": AWAY, "open": OPEN}


class Held:
    """A credential in some state; counts how often it is asked."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.asked = 0

    async def token(self) -> str:
        """Its state, if that is no trouble."""
        self.asked += 1
        if self.state in BY_STATE:
            raise BY_STATE[self.state]
        return self.state


@pytest.mark.parametrize(
    ("first", "even_if_refused", "second", "sent", "told"),
    [
        ("A", False, "B", "A", "first used"),
        ("A", True, "B", "A", "first used"),
        ("absent", False, "B", "B", "first absent, second used"),
        ("absent", True, "B", "B", "first absent, second used"),
        ("refused", False, "B", REFUSED, "first refused"),
        ("refused", True, "B", "B", "first refused, second used"),
        ("away", False, "B", AWAY, "first failed"),
        ("away", True, "B", AWAY, "first failed"),
        ("open", False, "B", OPEN, "first failed"),
        ("open", True, "B", OPEN, "first failed"),
        ("absent", False, "absent", CredentialAbsent, "first absent, second absent"),
        ("absent", False, "refused", REFUSED, "first absent, second refused"),
        ("absent", False, "away", AWAY, "first absent, second failed"),
        ("refused", True, "absent", REFUSED, "first refused, second absent"),
        ("refused", True, "refused", REFUSED, "first refused, second refused"),
        ("refused", True, "away", AWAY, "first refused, second failed"),
    ],
)
async def test_the_rule(first, even_if_refused, second, sent, told):
    """Absent: the next. Refused: the end, unless the link says otherwise. Failed: the end. Every step is told."""
    one, two = Held(first), Held(second)
    chain = CredentialChain([Link("first", one, even_if_refused), Link("second", two)])
    steps: list[str] = []
    try:
        found: object = (await chain.pick(lambda name, outcome: steps.append(f"{name} {outcome}"))).token
    except ServiceError as error:
        found = CredentialAbsent if isinstance(error, CredentialAbsent) else error
    assert found == sent
    assert ", ".join(steps) == told
    assert two.asked == told.count("second")


@pytest.mark.parametrize(("even_if_refused", "sent"), [(True, "B"), (False, "A")])
async def test_a_token_that_a_peer_has_refused(even_if_refused, sent):
    """Passed over for a minute where the link allows it, and until it changes; sent again where it does not."""
    clock = FakeClock()
    first = Held("A")
    chain = CredentialChain([Link("first", first, even_if_refused), Link("second", Held("B"))], clock)
    chain.refused(Picked("first", "A"))
    assert await chain.token() == sent
    first.state = "A2"
    assert await chain.token() == "A2"
    chain.refused(Picked("first", "A2"))
    clock.advance(REFUSED_S)
    assert await chain.token() == "A2"


def test_a_chain_that_says_nothing_is_a_mistake():
    """At least one credential, each with a name of its own."""
    for links in ([], [Link("a", Held("A")), Link("a", Held("B"))]):
        with pytest.raises(ValueError, match="name of its own"):
            CredentialChain(links)


async def test_a_token_file(tmp_path: Path):
    """Absent while it is missing or empty, read again when it changes; open to others it is bad, and not absent."""
    path, clock = tmp_path / "token", FakeClock()
    credential = TokenFile(path, clock)
    with pytest.raises(CredentialAbsent):
        await credential.token()
    for text in ("one", "another"):
        path.write_text(f"{text}\n")
        path.chmod(0o600)
        clock.advance(2)
        assert await credential.token() == text
    path.chmod(0o644)
    clock.advance(2)
    with pytest.raises(ServiceError) as caught:
        await credential.token()
    assert not isinstance(caught.value, CredentialAbsent)
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(CredentialAbsent):
        await credential.token()


async def test_a_forwarded_token():
    """The caller's own; absent outside a call, and in work that has no caller."""
    with pytest.raises(CredentialAbsent):
        await ForwardedToken().token()
    with serving(InboundCall("job", tenant_id="acme")), pytest.raises(CredentialAbsent):
        await ForwardedToken().token()
    with serving(InboundCall("/a", caller=Principal("user", "ada", "acme", token="ada's"))):
        assert await ForwardedToken().token() == "ada's"


async def test_a_credential_that_was_not_given():
    """It is absent."""
    with pytest.raises(CredentialAbsent) as caught:
        await NoCredential().token()
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING")
