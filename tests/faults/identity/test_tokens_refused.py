"""Tokens that are refused by a real server with its full chain: with one text, unread, and without a look elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from trunkline import headers
from trunkline.auth.verifier import REFUSAL
from trunkline.errors import ServiceError

from tests.faults.identity.bad_tokens import KEYS, KINDS, NO_TOKEN, SIGNATURES, TIMES, Bad
from tests.faults.identity.stage import REFUSED, Stage, bearer, outcome, stage
from tests.trunkline.auth.identity_system import SERVICE, USER

UNREADABLE = b"\xff\xff\xff"
PATHS = ("/trunk.testing.v1.EffectService/Add", "/trunk.testing.v1.EffectService/Reset")
LOOKS = ("open", "socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen", "os.system", "exec")
"""What Python tells before it opens a file, connects, looks a name up, or starts or compiles something."""


class _Looks:
    """Everything that is opened or connected to while it watches. A hook cannot be taken away, so there is one."""

    def __init__(self) -> None:
        self.watching = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event in LOOKS:
            self.seen.append(f"{event} {arguments[:2]}")

    @contextmanager
    def none(self) -> Iterator[None]:
        """Inside the block nothing is looked at."""
        self.seen, self.watching = [], True
        try:
            yield
        finally:
            self.watching = False
        assert self.seen == []


LOOKED = _Looks()


async def sent(on: Stage, value: str | None, path: str, **more: str) -> ServiceError:
    """How a call is refused whose message is none at all: whoever reads it says INVALID_ARGUMENT."""
    metadata = [(headers.AUTHORIZATION, value)] if value is not None else []
    call: Any = on.channel.unary_unary(path)(UNREADABLE, metadata=(*metadata, *more.items()), timeout=10)
    failure = await outcome(call)
    assert failure is not None
    return failure


async def refused(make: Bad, reason: str) -> None:
    """Such a header is refused by methods of every access."""
    async with stage() as on:
        # What is imported or connected at the first call is no doing of the token.
        await sent(on, "Bearer " + on.system.forge(aud="first"), PATHS[0])
        value = make(on.system)
        asked = on.system.server.asked
        with LOOKED.none():
            failures = [await sent(on, value, path) for path in PATHS]
        for failure in failures:
            assert (failure.code, failure.reason, failure.domain) == (REFUSED, reason, "trunk")
            assert (failure.message, dict(failure.metadata), failure.violations) == (REFUSAL, {}, ())
        assert not on.effects.calls
        assert on.system.server.asked == asked


@pytest.mark.parametrize("make", NO_TOKEN.values(), ids=NO_TOKEN.keys())
async def test_no_token(make):
    """D1: none, empty, half a header, junk: UNAUTHENTICATED with one text, before the message is read."""
    await refused(make, "TOKEN_MISSING" if make is NO_TOKEN["no token"] else "TOKEN_INVALID")


@pytest.mark.parametrize("make", TIMES.values(), ids=TIMES.keys())
async def test_wrong_times(make):
    """D2: expired, not valid yet, for ever, or for longer than any of ours; the leeway is 30 s."""
    await refused(make, "TOKEN_INVALID")


@pytest.mark.parametrize("make", SIGNATURES.values(), ids=SIGNATURES.keys())
async def test_wrong_signatures(make):
    """D3: no algorithm, another one, the public key taken for a secret, an unknown `crit`."""
    await refused(make, "TOKEN_INVALID")


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
async def test_tokens_for_something_else(make):
    """D3, D4: another kind, another audience or issuer, a service's token for a user's."""
    await refused(make, "TOKEN_INVALID")


@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS.keys())
async def test_keys_of_the_forgers_choice(make):
    """D5: no file is opened, no connection made and no list fetched for what a header asks for."""
    await refused(make, "TOKEN_INVALID")


FORWARDED = {name: make for table in (TIMES, SIGNATURES, KINDS, KEYS) for name, make in table.items()}


async def test_the_forwarded_token_is_held_to_the_same():
    """A good service that forwards a bad token is refused as whoever sends it himself."""
    async with stage() as on:
        good = "Bearer " + on.system.token(SERVICE)
        for name, make in FORWARDED.items():
            caller = str(make(on.system)).removeprefix("Bearer ")
            failure = await sent(on, good, PATHS[0], **{headers.CALLER: caller})
            assert (failure.code, failure.reason, failure.message) == (REFUSED, "TOKEN_INVALID", REFUSAL), name
        assert not on.effects.calls


async def test_junk_that_grpc_itself_may_refuse():
    """D1: between 8 and 16 KB gRPC refuses some calls by itself, and we the others; above it, all; none is served."""
    async with stage() as on:
        for size in (8192, 12_000, 20_000):
            for _ in range(5):
                call: Any = on.channel.unary_unary(PATHS[0])(UNREADABLE, metadata=bearer("x" * size), timeout=10)
                failure = await outcome(call)
                assert failure is not None
                assert failure.code in {REFUSED, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert not on.effects.calls


async def test_a_good_token_reaches_the_message():
    """D1: with a good token the same call is told that its message is none: these tests would see it."""
    async with stage() as on:
        failure = await sent(on, "Bearer " + on.system.token(USER), PATHS[0])
        assert failure.reason == "MESSAGE_UNREADABLE"


def test_the_watch_sees_what_is_opened():
    """D5: a file that is opened while it watches is a failure: these tests would see it."""
    with pytest.raises(AssertionError), LOOKED.none():
        Path(__file__).open().close()
