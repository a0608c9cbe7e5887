"""Credentials and the tokens exchanged for them."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import grpc
import pytest
from trunkline.auth.credential import ExchangedCredential, FileCredential
from trunkline.errors import ServiceError, unauthenticated, unavailable
from trunkline.testing.clock import FakeClock

REFUSAL = unauthenticated("CREDENTIAL_INVALID", "the credential is not valid")
DOWN = unavailable("", "connection refused")


@dataclass
class Identity:
    """Stands for the identity service: gives tokens of five minutes and counts them."""

    clock: FakeClock
    failure: ServiceError | None = None
    taken: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def exchange(self, credential: str) -> tuple[str, datetime]:
        """The next token, once the gate is open."""
        self.taken.append(credential)
        number = len(self.taken)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return f"token-{number}", self.clock.now() + timedelta(minutes=5)


@pytest.fixture
def identity(clock: FakeClock) -> Identity:
    """An identity service that answers."""
    return Identity(clock)


async def _settled(credential: ExchangedCredential) -> None:
    if credential._flight is not None:
        await asyncio.wait({credential._flight.task})


async def test_token_is_used_for_four_fifths_of_its_life(identity, clock):
    """One exchange serves all calls; after 240 of 300 seconds the next one runs behind the calls' back."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    assert await credential.token() == "token-1"
    clock.advance(239)
    assert await credential.token() == "token-1"
    assert identity.taken == ["id.secret"]
    clock.advance(1)
    assert await credential.token() == "token-1", "a call does not wait while its token is valid"
    await _settled(credential)
    assert await credential.token() == "token-2"
    assert len(identity.taken) == 2


async def test_callers_that_come_together_share_one_exchange(identity, clock):
    """A hundred calls without a token make one exchange."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    tokens = await asyncio.gather(*(credential.token() for _ in range(100)))
    assert set(tokens) == {"token-1"}
    assert len(identity.taken) == 1


async def test_callers_share_one_renewal(identity, clock):
    """Past 80 % of a token's life a hundred calls start one exchange, and none waits."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    await credential.token()
    identity.gate = asyncio.Event()
    clock.advance(250)
    assert {await credential.token() for _ in range(100)} == {"token-1"}
    await asyncio.sleep(0)
    assert len(identity.taken) == 2
    identity.gate.set()
    await _settled(credential)
    assert await credential.token() == "token-2"


async def test_cancelled_caller_does_not_end_the_exchange_of_others(identity, clock):
    """Whoever came first may give up; the others still get the token."""
    identity.gate = asyncio.Event()
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    first, second = asyncio.create_task(credential.token()), asyncio.create_task(credential.token())
    await asyncio.sleep(0)
    first.cancel()
    identity.gate.set()
    assert await second == "token-1"
    assert len(identity.taken) == 1


def test_loops_of_one_process_do_not_wait_for_each_other(identity, clock):
    """An exchange that another event loop has begun, and does not go on with, keeps nobody of this one."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    first, identity.gate = asyncio.new_event_loop(), asyncio.Event()

    async def begins() -> asyncio.Task[str]:
        task = asyncio.create_task(credential.token())
        await asyncio.sleep(0)
        return task

    waiting = first.run_until_complete(begins())
    gate, identity.gate = identity.gate, None
    assert asyncio.run(credential.token()) == "token-2"
    gate.set()
    assert first.run_until_complete(waiting) == "token-1"
    first.close()


async def test_exchange_does_not_inherit_the_first_callers_call(clock):
    """The shared exchange runs outside the call that happened to start it: its deadline is not everybody's."""
    current = ContextVar("current", default="none")
    seen = []

    async def exchange(credential: str) -> tuple[str, datetime]:
        seen.append(current.get())
        return "token", clock.now() + timedelta(minutes=5)

    current.set("call of the first")
    await ExchangedCredential(lambda: "id.secret", exchange, clock).token()
    assert seen == ["none"]


async def test_expired_token_is_never_used(identity, clock):
    """After its life a token is replaced before the call goes on, or the call fails."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    await credential.token()
    clock.advance(300)
    assert await credential.token() == "token-2"
    identity.failure = DOWN
    clock.advance(300)
    with pytest.raises(ServiceError) as caught:
        await credential.token()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


async def test_valid_token_outlives_an_identity_service_that_is_down(identity, clock):
    """A renewal that fails is tried again after a second; the token is good until it expires."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    await credential.token()
    identity.failure = DOWN
    clock.advance(241)
    for _ in range(5):
        assert await credential.token() == "token-1"
        await _settled(credential)
    assert len(identity.taken) == 2
    clock.advance(1)
    identity.failure = None
    await credential.token()
    await _settled(credential)
    assert await credential.token() == "token-3"


async def test_refused_credential_is_a_refusal(identity, clock):
    """UNAUTHENTICATED reaches the caller; a second passes before the same credential is tried again."""
    identity.failure = REFUSAL
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    for _ in range(5):
        with pytest.raises(ServiceError) as caught:
            await credential.token()
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    assert len(identity.taken) == 1
    clock.advance(1)
    with pytest.raises(ServiceError):
        await credential.token()
    assert len(identity.taken) == 2


async def test_refusal_of_a_renewal_ends_the_use_of_the_token(identity, clock):
    """A revoked credential falls back to nothing, not even to the rest of its last token's life."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    await credential.token()
    identity.failure = REFUSAL
    clock.advance(240)
    await credential.token()
    await _settled(credential)
    with pytest.raises(ServiceError) as caught:
        await credential.token()
    assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED


async def test_changed_credential_is_exchanged_at_once(identity, clock):
    """Neither the old token nor an old refusal stands for a new credential."""
    texts = ["old.secret"]
    credential = ExchangedCredential(lambda: texts[-1], identity.exchange, clock)
    assert await credential.token() == "token-1"
    texts.append("new.secret")
    assert await credential.token() == "token-2"
    identity.failure = REFUSAL
    texts.append("bad.secret")
    with pytest.raises(ServiceError):
        await credential.token()
    identity.failure = None
    texts.append("good.secret")
    assert await credential.token() == "token-4"
    assert identity.taken == ["old.secret", "new.secret", "bad.secret", "good.secret"]


async def test_late_answer_for_an_old_credential_is_not_kept(identity, clock):
    """An exchange that was under way when the credential changed does not replace the new token."""
    texts = ["old.secret"]
    credential = ExchangedCredential(lambda: texts[-1], identity.exchange, clock)
    old_gate = identity.gate = asyncio.Event()
    early = asyncio.create_task(credential.token())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    identity.gate = None
    texts.append("new.secret")
    assert await credential.token() == "token-2"
    old_gate.set()
    assert await early == "token-1"
    assert await credential.token() == "token-2"


@pytest.mark.parametrize("nothing", [None, ""])
async def test_no_credential_is_said_to_be_missing(identity, clock, nothing):
    """Without a credential calls fail UNAVAILABLE / CREDENTIAL_MISSING, and nobody is asked."""
    with pytest.raises(ServiceError) as caught:
        await ExchangedCredential(lambda: nothing, identity.exchange, clock).token()
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING")
    assert identity.taken == []


async def test_clocks_far_apart_do_not_exchange_on_every_call(clock):
    """A token that looks expired on arrival is used for a second all the same."""
    taken = []

    async def exchange(credential: str) -> tuple[str, datetime]:
        taken.append(credential)
        return "token", clock.now() - timedelta(minutes=5)

    credential = ExchangedCredential(lambda: "id.secret", exchange, clock)
    for _ in range(5):
        assert await credential.token() == "token"
    assert len(taken) == 1


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_clock_that_was_set_ends_the_use_of_a_token(identity, clock, hours):
    """H1: after the wall clock jumps, servers would refuse the token: another one is exchanged, once, before a call."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    assert await credential.token() == "token-1"
    clock.set_ahead(hours * 3600)
    assert credential.token_at_hand() is None
    assert await credential.token() == "token-2"
    assert credential.token_at_hand() == "token-2"
    assert len(identity.taken) == 2


async def test_a_clock_that_drifts_ends_nothing(identity, clock):
    """H1: a correction of some seconds harms no token: verifiers bear with it."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    await credential.token()
    clock.set_ahead(19.0)
    assert credential.token_at_hand() == "token-1"


async def test_a_refused_token_is_exchanged_anew(identity, clock):
    """H1: a token that a peer has refused is renewed behind the backs of the next calls, at most once a second."""
    credential = ExchangedCredential(lambda: "id.secret", identity.exchange, clock)
    await credential.token()
    credential.doubt("token-1")
    assert credential.token_at_hand() == "token-1", "it has just come: another one would be no better"
    clock.advance(1.0)
    credential.doubt("another")
    assert credential.token_at_hand() == "token-1"
    credential.doubt("token-1")
    assert await credential.token() == "token-1"
    await _settled(credential)
    credential.doubt("token-1")
    assert credential.token_at_hand() == "token-2"
    assert len(identity.taken) == 2


async def test_file_that_comes_later_is_read_when_needed(identity, clock, tmp_path):
    """A service starts without its credential, and takes it as soon as it is there."""
    path = tmp_path / "credential"
    credential = FileCredential(path, identity.exchange, clock)
    with pytest.raises(ServiceError) as caught:
        await credential.token()
    assert caught.value.reason == "CREDENTIAL_MISSING"
    path.touch(0o600)
    with pytest.raises(ServiceError):
        await credential.token()
    path.write_text("id.secret\n")
    assert await credential.token() == "token-1"
    assert identity.taken == ["id.secret"]
    await credential.close()
