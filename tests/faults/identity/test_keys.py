"""Keys that nobody knows, and keys that come and go while calls run."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.auth.tokens import LIFETIMES_S, TokenSigner
from trunkline.auth.verifier import LEEWAY_S, TokenVerifier
from trunkline.errors import ServiceError
from trunkline.testing.clock import FakeClock

from tests.faults.identity.stage import REFUSED, Stage, bearer, outcome, stage
from tests.trunkline.auth.identity_system import AUDIENCE, ISSUER, USER, System, public_key

FLOOD = 1000
TOGETHER = 25
STEP_S = 5
RENEWED_AFTER_S = 720


async def add(on: Stage, token: str) -> ServiceError | None:
    """A call with a token; how it failed."""
    return await outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=bearer(token), timeout=20))


async def flood(on: Stage) -> set[str]:
    """A thousand tokens of keys that nobody knows; the reasons they are refused with."""
    found: set[str] = set()
    for _ in range(FLOOD // TOGETHER):
        tokens = [on.system.forge({"kid": uuid.uuid4().hex}) for _ in range(TOGETHER)]
        failures = await asyncio.gather(*(add(on, token) for token in tokens))
        found |= {failure.reason if failure else "OK" for failure in failures}
    return found


async def test_random_keys_make_one_fetch_a_minute():
    """D6: a thousand tokens with random key ids are refused; the list is asked for once, and again a minute later."""
    async with stage() as on:
        assert await add(on, on.system.token(USER)) is None
        assert await flood(on) == {"TOKEN_INVALID"}
        assert on.system.server.asked == 1
        on.system.clock.advance(60)
        assert await flood(on) == {"TOKEN_INVALID"}
        assert on.system.server.asked == 2
        assert on.effects.value == 1


async def test_good_tokens_do_not_wait_for_unknown_keys(monkeypatch):
    """D6: while the list hangs and tokens with unknown keys wait for it, calls with good tokens are answered."""
    system = System(FakeClock())
    async with stage(system) as on:
        good, unseen = system.token(USER), system.token(USER)
        assert await add(on, good) is None
        gate = asyncio.Event()

        async def hang() -> Sequence[identity_pb.PublicKey]:
            await gate.wait()
            return system.server.keys

        monkeypatch.setattr(system.keys, "_fetch", hang)
        system.clock.advance(60)
        waiting = [asyncio.create_task(add(on, system.forge({"kid": f"r{number}"}))) for number in range(TOGETHER)]
        for _ in range(4):
            answered = await asyncio.gather(*(add(on, token) for token in (good, unseen) for _ in range(TOGETHER // 2)))
            assert answered == [None] * len(answered)
        failures = await asyncio.gather(*waiting)
        assert {failure.reason for failure in failures if failure} == {"KEYS_UNAVAILABLE"}, "it might be a new key"
        gate.set()


@pytest.mark.parametrize("failing", [False, True], ids=["as shipped", "a refresh fails"])
async def test_keys_rotate_under_load(failing):
    """D7: add a key, sign with it two minutes later, remove the old one: no call fails, nothing is restarted.

    Calls run all the time, by a clock of which half an hour passes. Whoever has a token of the old key keeps it until
    it expires; afterwards the old key is refused within the minute for which lists are kept.
    """
    system = System(FakeClock())
    new = Ed25519PrivateKey.generate()
    old_signer, new_signer = system.signer, TokenSigner("k2", new, ISSUER, system.clock)
    both = [public_key("k2", new), *system.server.keys]
    async with stage(system) as on:
        token, made_at, signer = system.token(USER), 0, old_signer
        gone_at = 120 + LIFETIMES_S["user"] + LEEWAY_S + STEP_S
        failures: list[ServiceError | None] = []
        for now in range(0, gone_at + 300, STEP_S):
            if now == STEP_S:
                system.server.keys = both
            if now == 125:
                signer = new_signer
            if now == gone_at:
                system.server.keys = both[:1]
            system.server.failure = ServiceError(REFUSED, "DOWN", "down") if failing and 30 < now < 100 else None
            if now - made_at >= RENEWED_AFTER_S or now == 125:
                token, made_at = signer.sign(USER, audience=AUDIENCE).token, now
            failures += await asyncio.gather(add(on, token), add(on, token))
            system.clock.advance(STEP_S)
        assert [failure for failure in failures if failure] == []
        assert on.system.server.asked <= (gone_at + 300) / 60 + 1 + (20 if failing else 0)
        last = await add(on, old_signer.sign(USER, audience=AUDIENCE).token)
        assert last is not None
        assert last.code is REFUSED


async def test_a_removed_key_is_refused_within_a_minute():
    """D7: also for a token that was verified before, by the calls that are made with it."""
    async with stage() as on:
        token, new = on.system.token(USER), Ed25519PrivateKey.generate()
        assert await add(on, token) is None
        on.system.server.keys = [public_key("k2", new)]
        refused_after_s = 0
        while await add(on, token) is None:
            on.system.clock.advance(STEP_S)
            refused_after_s += STEP_S
            assert refused_after_s <= 60 + STEP_S
        assert refused_after_s >= STEP_S


async def test_a_new_key_meets_a_service_that_was_idle():
    """D7: nobody has called for an hour; the first token of the new key fetches the list, and passes."""
    async with stage() as on:
        assert await add(on, on.system.token(USER)) is None
        new = Ed25519PrivateKey.generate()
        on.system.server.keys = [public_key("k2", new)]
        on.system.clock.advance(3600)
        signer = TokenSigner("k2", new, ISSUER, on.system.clock)
        assert await add(on, signer.sign(USER, audience=AUDIENCE).token) is None


class Apart:
    """The clock of a machine that is so much ahead of another's."""

    def __init__(self, clock: FakeClock, ahead_s: float) -> None:
        self._clock = FakeClock(clock.now())
        self._clock.advance(ahead_s)

    def monotonic(self) -> float:
        """The time that is measured with."""
        return self._clock.monotonic()

    def now(self):
        """The time it shows."""
        return self._clock.now()


@pytest.mark.parametrize(
    ("ahead_s", "age_s", "accepted"),
    [
        (0, 0, True),
        (30, 0, True),
        (-30, 0, True),
        (-31, 0, False),
        (-90, 0, False),
        (-90, 60, True),
        (90, 0, True),
        (90, 839, True),
        (90, 840, False),
    ],
)
async def test_clocks_apart(ahead_s, age_s, accepted):
    """H2: 30 s either way harm nobody; 90 s cost a minute at one end of a token's life, and heal as clocks do."""
    system = System(FakeClock())
    token = system.token(USER)
    system.clock.advance(age_s)
    clock = Apart(system.clock, ahead_s)
    verifier = TokenVerifier(system.keys, ISSUER, AUDIENCE, clock)
    async with stage(system, service={"verifier": verifier}, clock=clock) as on:
        failure = await add(on, token)
        assert (failure is None) is accepted
        assert failure is None or (failure.code, failure.reason) == (REFUSED, "TOKEN_INVALID")
