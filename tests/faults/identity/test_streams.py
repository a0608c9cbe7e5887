"""What becomes of a stream whose token is over while it is open."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.auth.verifier import LEEWAY_S, REFUSAL
from trunkline.call import InboundCall, Principal
from trunkline.interceptors.identity import _left_s

from tests.faults.identity.stage import REFUSED, Stage, bearer, outcome, stage
from tests.trunkline.auth.identity_system import SERVICE, USER
from tests.trunkline.interceptors.servicers import until
from tests.trunkline.interceptors.shapes import SHAPES, begin, finish

STREAMS = SHAPES[1:]
ENDS_WITHIN_S = 5.0
"""As it is told in docs/identity.md."""
SHORT_S = 0.3
LONG_S = 60.0


async def opened(on: Stage, shape: str, metadata: Any) -> asyncio.Task[Any]:
    """A stream that its handler has begun and never ends."""
    begun = on.talker.begun
    call = begin(on.ping, shape, metadata=metadata, timeout=LONG_S)
    task = asyncio.create_task(outcome(finish(call, shape)))
    await until(lambda: on.talker.begun == begun + 1)
    return task


async def ended(on: Stage, task: asyncio.Task[Any]) -> None:
    """The stream ends in time, as a refused token does, and its handler is let go of."""
    began = time.monotonic()
    failure = await asyncio.wait_for(task, ENDS_WITHIN_S)
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert (failure.code, failure.reason, failure.message) == (REFUSED, "TOKEN_INVALID", REFUSAL)
    await until(lambda: on.talker.let_go == on.talker.begun)


@pytest.mark.parametrize("shape", STREAMS)
async def test_a_stream_ends_when_its_token_expires(shape):
    """D22: at its `exp`, in every shape; the next stream with a fresh token lives."""
    async with stage() as on:
        token = on.system.token(USER)
        on.system.clock.advance(900 - SHORT_S)
        await ended(on, await opened(on, shape, bearer(token)))
        fresh = await opened(on, shape, bearer(on.system.token(USER)))
        await asyncio.sleep(SHORT_S)
        assert not fresh.done()
        fresh.cancel()


@pytest.mark.parametrize("shape", STREAMS)
async def test_a_stream_ends_when_its_credential_is_revoked(shape):
    """D22: as soon as the list says so, in every shape; streams of others go on, and no watch is left."""
    async with stage() as on:
        mine = await opened(on, shape, bearer(on.system.token(USER)))
        others = await opened(on, shape, bearer(on.system.token(SERVICE)))
        on.system.verifier.revocations.take(["c1"])
        failure = await asyncio.wait_for(mine, ENDS_WITHIN_S)
        assert (failure.code, failure.reason) == (REFUSED, "TOKEN_INVALID")
        assert not others.done()
        refused = await outcome(finish(begin(on.ping, shape, metadata=bearer(on.system.token(USER))), shape))
        assert refused is not None
        assert refused.code is REFUSED
        others.cancel()
        await until(lambda: not on.system.verifier.revocations._watches)


async def test_a_stream_that_has_just_begun():
    """D22: it has its status, whatever was being sent at that moment."""
    async with stage() as on:
        for number in range(70):
            on.system.verifier.revocations.take([])
            task = await opened(on, "PingMany", bearer(on.system.token(USER)))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            on.system.verifier.revocations.take(["c1"])
            await ended(on, task)


@pytest.mark.parametrize("gone", ["c3", "c1"], ids=["the service's", "its caller's"])
async def test_a_stream_on_behalf_of_somebody_ends_with_either_credential(gone):
    """D22: both tokens were needed to open it, so both are needed to keep it open."""
    async with stage() as on:
        token, caller = on.system.token(SERVICE), on.system.token(USER)
        task = await opened(on, "PingMany", bearer(token, caller))
        on.system.verifier.revocations.take([gone])
        await ended(on, task)


async def test_a_stream_on_behalf_of_somebody_ends_with_the_first_token():
    """D22: a service's token lives five minutes, its caller's fifteen."""
    async with stage() as on:
        token, caller = on.system.token(SERVICE), on.system.token(USER)
        on.system.clock.advance(300 - SHORT_S)
        await ended(on, await opened(on, "PingMany", bearer(token, caller)))


async def test_a_handler_that_holds_on():
    """D22: one that swallows its cancellation and answers ends as refused all the same."""
    async with stage() as on:

        async def hold_on() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

        on.talker._no_more = hold_on  # type: ignore[method-assign]
        task = await opened(on, "PingAll", bearer(on.system.token(USER)))
        on.system.verifier.revocations.take(["c1"])
        await ended(on, task)


async def test_health_watches_go_on():
    """D22: a Watch belongs to nobody, even where a token was sent with it."""
    async with stage() as on:
        stub: Any = health_pb2_grpc.HealthStub(on.channel)
        watch: Any = stub.Watch(health_pb2.HealthCheckRequest(), metadata=bearer(on.system.token(USER)))
        await watch.read()
        on.system.verifier.revocations.take(["c1"])
        on.system.clock.advance(1000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(watch.read())), SHORT_S)
        watch.cancel()


async def test_a_unary_call_that_was_let_in_is_finished():
    """D22: it may have had its effect; it has a deadline, and ends by that. The next one is refused."""
    async with stage() as on:
        gate = asyncio.Event()

        async def wait(_: Any) -> None:
            await gate.wait()

        on.effects.inside = wait
        token = on.system.token(USER)
        task = asyncio.create_task(outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=bearer(token))))
        await until(lambda: len(on.effects.calls) == 1)
        on.system.verifier.revocations.take(["c1"])
        gate.set()
        assert await task is None
        refused = await outcome(on.effect.Add(pb.AddRequest(amount=1), metadata=bearer(token)))
        assert refused is not None
        assert refused.code is REFUSED
        assert on.effects.value == 1


@pytest.mark.parametrize(
    ("deadline", "expires_at", "seconds"),
    [
        (1100.0, 1900.0, None),
        (1900.0, 1900.0, None),
        (2000.0, 1900.0, 900.0),
        (None, 1900.0, 900.0),
        (None, 1000.0, LEEWAY_S),
        (1010.0, 1000.0, None),
        (None, 980.0, LEEWAY_S - 20.0),
        (None, 960.0, 0.0),
        (None, float("inf"), None),
    ],
)
def test_when_a_timer_is_needed(deadline, expires_at, seconds):
    """None where the deadline ends the call before; at `exp`, or with the leeway for one let in on the leeway alone."""
    bearer_ = Principal("user", "ada", expires_at=expires_at)
    assert _left_s(InboundCall("/a", deadline=deadline), [bearer_], 1000.0) == seconds
