"""Our client before servers that break the rules: what its caller is told, how often it tries, and that it recovers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from inspect import isawaitable

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.client import PeerChannel
from trunkline.errors import ServiceError
from trunkline.testing.bad_connection import BadCall, prefixed
from trunkline.testing.bad_server import BadServer

from tests.faults.interop import bad_answers
from tests.faults.interop.bad_answers import BAD_ANSWERS, EXPIRED, QUICK_S, SLOW_S, UNREACHABLE, UNREADABLE, BadAnswer
from tests.faults.interop.facing import CALLS, facing

SLACK_S = 2.0
"""Seconds by which a shared machine may be late."""


def outcome(error: ServiceError) -> str:
    """Code and reason."""
    return f"{error.code.name} {error.reason}"


async def told(channel: PeerChannel, rpc: str, timeout_s: float) -> str:
    """What the caller of an rpc is told; nothing of ours may be in a failure's text, and no other exception."""
    failure: ServiceError | None = None
    try:
        await CALLS[rpc][0](channel, timeout_s)
    except ServiceError as error:
        failure = error
    assert not {name for name in ("trunk.testing", "Traceback", "protobuf", "site-packages") if name in str(failure)}
    return "OK" if failure is None else outcome(failure)


def failures(channel: PeerChannel) -> int:
    """What the breakers of a channel have counted against its server."""
    return sum(one.snapshot(channel.peer.clock.monotonic()).failures for one in channel.peer.breakers.values())


def assert_attempts(bad: BadServer, count: int) -> None:
    """So many attempts have come, each with its number, all of them under one key if any."""
    numbers = [call.metadata.get(headers.PREVIOUS_ATTEMPTS) for call in bad.calls]
    assert numbers == [None, "1", "2"][:count]
    assert len({call.metadata.get(headers.IDEMPOTENCY_KEY) for call in bad.calls}) == 1


@pytest.mark.parametrize("rpc", CALLS)
@pytest.mark.parametrize("case", BAD_ANSWERS, ids=lambda case: case.name)
async def test_a_bad_answer(case: BadAnswer, rpc: str, caplog):
    """C12: a call ends as it must, in time, after as many attempts as its contract allows; then all is well again."""
    caplog.set_level(logging.WARNING)
    timeout_s = QUICK_S if case.hangs else SLOW_S
    async with facing(case.behave) as (bad, channel):
        began = time.monotonic()
        assert await told(channel, rpc, timeout_s) == case.told
        took_s = time.monotonic() - began
        attempts = CALLS[rpc][1] if case.repeated else 1
        assert_attempts(bad, attempts)
        assert failures(channel) == (attempts if case.counts and case.told != "OK" else 0)
    assert took_s < timeout_s + SLACK_S if case.hangs else took_s < SLOW_S
    # Neither grpc nor asyncio has caught an exception of ours. gRPC's own code tells of texts that are no UTF-8.
    assert [one for one in caplog.records if one.exc_info and one.name != "grpc._cython.cygrpc"] == []


GOOD = prefixed(pb.PingManyResponse(value="first").SerializeToString())
NO_UTF8 = prefixed(b"\x0a\x02\xff\xfe")


def cut(call: BadCall) -> None:
    """Closes the connection."""
    call.connection.close()


def reset(call: BadCall) -> None:
    """Refuses the call, though it has begun."""
    call.reset(7)


def silence(_: BadCall) -> None:
    """Does nothing more."""


BEGUN: dict[str, tuple[Callable[[BadCall], object], str]] = {
    "garbage": (lambda call: call.data(prefixed(b"\xff\xff")), UNREADABLE),
    "garbage-then-more": (lambda call: call.data(prefixed(b"\xff\xff") + GOOD), UNREADABLE),
    "no-utf8": (lambda call: call.data(NO_UTF8), UNREADABLE),
    "unavailable": (lambda call: call.trailers("14"), UNREACHABLE),
    "cut": (cut, UNREACHABLE),
    "reset": (reset, UNREACHABLE),
    "silence": (silence, EXPIRED),
}
"""What comes after a good first answer, and what the caller is told."""


@pytest.mark.parametrize(("then", "expected"), BEGUN.values(), ids=BEGUN)
async def test_a_stream_that_goes_bad(then, expected):
    """C12, A27: what came before stands, the failure is told, nothing is left out, and nothing is sent again."""
    first_read = asyncio.Event()

    async def behave(call: BadCall) -> None:
        call.headers()
        await call.data(GOOD)
        await first_read.wait()
        if isawaitable(more := then(call)):
            await more

    async with facing(behave) as (bad, channel):
        call = pb_grpc.PingServiceStub(channel).PingMany(pb.PingManyRequest(count=3), timeout=QUICK_S)
        first: pb.PingManyResponse = await call.read()  # type: ignore[assignment]
        assert first.value == "first"
        first_read.set()
        with pytest.raises(ServiceError) as failed:
            await call.read()
        assert outcome(failed.value) == expected
        assert (await call.code(), call.cancelled()) == (failed.value.code, False)
        assert_attempts(bad, 1)
        assert failures(channel) == 1


@pytest.mark.parametrize("rpc", CALLS)
async def test_an_error_page(rpc):
    """C12: of a page with a status, gRPC tells the status or that the call has no end, whichever it sees first."""
    async with facing(bad_answers.http("503", "text/html", bad_answers.PAGE)) as (bad, channel):
        found = await told(channel, rpc, SLOW_S)
        assert found in {UNREACHABLE, "UNKNOWN "}
        assert 1 <= len(bad.calls) == failures(channel) <= CALLS[rpc][1]


async def test_unreadable_answers_open_the_breaker():
    """C12: a server whose answers nobody can read is left alone after five of them, as one that fails is."""
    async with facing(bad_answers.body(prefixed(b"\xff"))) as (bad, channel):
        found = Counter([await told(channel, "Once", SLOW_S) for _ in range(8)])
        assert found == {UNREADABLE: 5, "UNAVAILABLE BREAKER_OPEN": 3}
        assert len(bad.calls) == 5


async def test_one_bad_answer_and_a_good_one():
    """C12, A7: a reset in the middle of an answer is final; a call that was refused is sent again, and answered."""
    async with facing(bad_answers.half_and_reset) as (bad, channel):
        assert await told(channel, "Add", SLOW_S) == "INTERNAL "

        async def refuse_once(call: BadCall) -> None:
            if len(bad.calls) == 2:
                call.reset(7)
            else:
                await call.answer()

        bad.behave = refuse_once
        assert await told(channel, "Add", SLOW_S) == "OK"
        keys = [call.metadata[headers.IDEMPOTENCY_KEY] for call in bad.calls]
        assert keys[0] != keys[1] == keys[2]
