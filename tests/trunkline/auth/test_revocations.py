"""Revoked credentials: what is refused, who is told, and what holds while nobody lists them."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Iterable
from typing import Any

import grpc
import pytest
import structlog
from trunkline.auth import revocations as module
from trunkline.auth.revocations import RevocationPoller, Revocations
from trunkline.auth.verifier import TokenRefused
from trunkline.errors import platform_error, unavailable

from tests.trunkline.auth.identity_system import SERVICE, TERMINAL, USER

DOWN = unavailable("PEER_UNREACHABLE", "connection refused")
NO_CREDENTIAL = platform_error(grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING", "no credential to call others with")


class Lists:
    """Stands for the identity service: what it lists, or how it fails; counts how often it is asked."""

    def __init__(self, *ids: str) -> None:
        self.ids: Iterable[str] = ids
        self.failure: Exception | None = None
        self.asked = 0

    async def __call__(self) -> Iterable[str]:
        """The list, or the failure."""
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.ids


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is logged of polls."""
    capture = structlog.testing.LogCapture()
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    monkeypatch.setattr(module, "_log", structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper))
    return capture.entries


async def refused(system: Any, token: str) -> TokenRefused:
    """How a token is refused."""
    with pytest.raises(TokenRefused) as caught:
        await system.verifier.verify(token)
    return caught.value


@pytest.mark.parametrize("claims", [USER, TERMINAL, SERVICE], ids=lambda claims: claims.kind)
async def test_tokens_of_a_revoked_credential_are_refused(system, claims):
    """Whatever its kind, whenever it was made, verified before or not; tokens of others pass."""
    known, unseen = system.token(claims), system.token(claims)
    await system.verifier.verify(known)
    system.verifier.revocations.take([claims.credential_id])
    assert system.verifier.cached(known) is None
    for token in (known, unseen, system.token(claims)):
        error = await refused(system, token)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        assert (error.why, error.metadata) == ("its credential is revoked", {})
        assert system.verifier.cached(token) is None
    other = SERVICE if claims is not SERVICE else USER
    assert (await system.verifier.verify(system.token(other))).subject == other.subject


async def test_a_forged_token_does_not_tell_what_is_revoked(system):
    """Only a token that is good otherwise is looked up: the log says what is wrong with it first."""
    system.verifier.revocations.take(["c1"])
    token = system.forge(aud="bank")
    assert (await refused(system, token)).why == "InvalidAudienceError"


async def test_a_new_revocation_is_told_once_to_who_watches_it():
    """Watches of other credentials, watches that have ended, and known revocations are left alone."""
    revocations, told = Revocations(), []
    revocations.watch(["a", "b"], lambda: told.append("a or b"))
    revocations.watch(["c"], lambda: told.append("c"))
    ended = revocations.watch(["b"], lambda: told.append("left"))
    ended()
    ended()
    assert revocations.take(["b"]) == {"b"}
    assert revocations.take(["b"]) == frozenset()
    assert told == ["a or b"]
    revocations.watch(["b"], lambda: told.append("late"))
    assert told == ["a or b", "late"]


async def test_nothing_is_kept_of_a_watch_that_has_ended():
    """A million streams leave nothing behind."""
    revocations = Revocations()
    for number in range(10):
        revocations.watch([f"k{number}", "both"], lambda: None)()
    assert not revocations._watches


async def test_it_polls_every_two_seconds_until_it_is_stopped(monkeypatch):
    """The pace is kept from start to start, and stopping does not wait for the next poll."""
    monkeypatch.setattr(module, "POLL_S", 0.05)
    lists, stop = Lists("k1"), asyncio.Event()
    revocations = Revocations()
    running = asyncio.create_task(RevocationPoller(revocations, lists).run(stop))
    async with asyncio.timeout(5):
        while lists.asked < 4:  # noqa: ASYNC110 - the poller runs beside
            await asyncio.sleep(0.005)
        stop.set()
        await running
    assert revocations.ids == {"k1"}


async def test_the_last_list_stays_while_nobody_answers(lines):
    """An outage takes no revocation away, and is told once, when it begins; its end is told too."""
    lists, revocations = Lists("k1"), Revocations()
    poller = RevocationPoller(revocations, lists)
    await poller.poll()
    for failure in (DOWN, OSError("no route"), RuntimeError("a bug"), DOWN):
        lists.failure = failure
        await poller.poll()
        assert revocations.ids == {"k1"}
    lists.failure, lists.ids = None, ("k1", "k2")
    await poller.poll()
    assert revocations.ids == {"k1", "k2"}
    assert [line["event"] for line in lines] == [
        "credentials revoked",
        "revocations not polled; the last list stays",
        "revocations are polled again",
        "credentials revoked",
    ]
    lists.failure = DOWN
    await poller.poll()
    assert len(lines) == 5, "the next outage is told again"


async def test_a_poll_that_hangs_is_an_outage(lines, monkeypatch):
    """It ends by itself, and the next one is made."""
    monkeypatch.setattr(module, "POLL_TIMEOUT_S", 0.01)

    async def hang() -> Iterable[str]:
        await asyncio.Event().wait()
        return ()

    await RevocationPoller(Revocations(), hang).poll()
    assert [line["error"] for line in lines] == ["TimeoutError"]


async def test_before_the_service_has_a_credential_nothing_is_said(lines):
    """CREDENTIAL_MISSING is how a new system starts: no line, however long it takes."""
    lists, revocations = Lists("k1"), Revocations()
    poller = RevocationPoller(revocations, lists)
    lists.failure = NO_CREDENTIAL
    for _ in range(50):
        await poller.poll()
    assert not lines
    lists.failure = None
    await poller.poll()
    assert revocations.ids == {"k1"}
    assert [line["event"] for line in lines] == ["credentials revoked"]


async def test_the_list_outlives_a_restart(tmp_path):
    """A service that starts while the identity service is away refuses whom it refused before."""
    path = tmp_path / "cart" / "revocations.json"
    await RevocationPoller(Revocations(), Lists("k1", "k2"), path).poll()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    restarted, down = Revocations(), Lists()
    down.failure = DOWN
    await RevocationPoller(restarted, down, path).poll()
    assert restarted.ids == {"k1", "k2"}


@pytest.mark.parametrize("content", ["", "{", "7", '{"k1": 1}', "\x00", '["k1", 7]'])
async def test_a_broken_file_is_no_reason_not_to_start(tmp_path, content):
    """What can be read of it counts; the rest is polled."""
    path = tmp_path / "revocations.json"
    path.write_text(content)
    revocations = Revocations()
    poller = RevocationPoller(revocations, Lists("k9"), path)
    assert revocations.ids <= {"k1"}
    await poller.poll()
    assert revocations.ids == {"k9"}


async def test_a_list_that_cannot_be_kept_is_used(tmp_path, lines):
    """A full or missing disk costs the copy, not the refusal."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    revocations = Revocations()
    poller = RevocationPoller(revocations, Lists("k1"), in_the_way / "revocations.json")
    await poller.poll()
    assert revocations.ids == {"k1"}
    assert lines[-1]["event"] == "revocations not kept on disk"
