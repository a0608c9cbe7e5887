"""Our client before servers whose connections are bad: gRPC's negative tests, and more of their kind.

They follow doc/negative-http2-interop-test-descriptions.md and doc/connection-backoff-interop-test-description.md of
grpc/grpc.
The three modes that reset a call (rst_after_header, rst_during_data, rst_after_data) stand among the bad answers.
"""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.client import OPTIONS
from trunkline.errors import ServiceError
from trunkline.testing import bad_server
from trunkline.testing.bad_connection import BadCall, BadConnection

from tests.faults.interop.bad_answers import EXPIRED, QUICK_S, SLOW_S, UNREACHABLE, silence
from tests.faults.interop.facing import facing
from tests.faults.interop.test_bad_answers import SLACK_S, failures, told
from tests.shop.waiting import until

MAX_CONCURRENT_STREAMS = 3
"""Number of the setting of HTTP/2."""
BACKOFF_S = float(os.environ.get("INTEROP_BACKOFF_S", "6"))
"""Seconds for which connections are closed; gRPC's own test takes 540."""


def ping(channel: Any, value: str = "v") -> Any:
    """A read."""
    return pb_grpc.PingServiceStub(channel).Ping(pb.PingRequest(value=value), timeout=SLOW_S)


async def test_goaway():
    """C12: goaway: after GOAWAY the call that runs is answered, and the next goes by another connection, by itself."""
    async with facing(bad_server.goaway) as (bad, channel):
        await ping(channel)
        await ping(channel)
        assert len({id(call.connection) for call in bad.calls}) == 2
        assert [call.metadata.get(headers.PREVIOUS_ATTEMPTS) for call in bad.calls] == [None, None]


@pytest.mark.parametrize("rpc", ["Ping", "Add", "Once"])
async def test_goaway_below_the_call(rpc):
    """C12: GOAWAY below the call's stream: nobody has looked at it; it is repeated where its contract allows."""
    async with facing(bad_server.answer) as (bad, channel):

        async def first_not_looked_at(call: BadCall) -> None:
            if len(bad.calls) == 1:
                call.connection.goaway(0)
            else:
                await call.answer()

        bad.behave = first_not_looked_at
        assert await told(channel, rpc, SLOW_S) == (UNREACHABLE if rpc == "Once" else "OK")
        numbers = [call.metadata.get(headers.PREVIOUS_ATTEMPTS) for call in bad.calls]
        assert numbers == ([None] if rpc == "Once" else [None, "1"])
        assert len({call.metadata.get(headers.IDEMPOTENCY_KEY) for call in bad.calls}) == 1


async def test_ping():
    """C12: ping: every PING of the server is answered, before, in and after a call."""
    async with facing(bad_server.ping) as (bad, channel):
        await ping(channel)
        await until(lambda: bad.calls[0].connection.pings_out == 0, "the last PING is answered")


async def test_max_streams():
    """C12: max_streams: where a connection takes one call at a time, ten come one after the other."""

    async def slowly(call: BadCall) -> None:
        await asyncio.sleep(0.01)
        await call.answer()

    async with facing(slowly, settings={MAX_CONCURRENT_STREAMS: 1}) as (bad, channel):
        await ping(channel)  # the server's settings are known after it
        await asyncio.gather(*(ping(channel) for _ in range(10)))
        assert (len(bad.calls), bad.most_at_once, len(bad.connections)) == (11, 1, 1)


@pytest.mark.parametrize("rpc", ["Ping", "Add", "PingMany"])
async def test_no_settings(rpc):
    """C12: a server that never says SETTINGS is not there yet: nothing is sent to it, and the deadline holds."""
    async with facing(bad_server.answer) as (bad, channel):
        bad.settings = None
        began = time.monotonic()
        assert await told(channel, rpc, QUICK_S) == EXPIRED
        assert time.monotonic() - began < QUICK_S + SLACK_S
        assert (len(bad.connections), bad.calls, failures(channel)) == (1, [], 1)


@pytest.mark.parametrize(
    ("behave_health", "timeout_s", "expected"),
    [(bad_server.rst_after_header, SLOW_S, UNREACHABLE), (silence, QUICK_S, EXPIRED)],
    ids=["reset", "silence"],
)
async def test_no_health(behave_health, timeout_s, expected):
    """C12: a server that fails to say whether it is well is sent no call; its silence costs the deadline."""
    async with facing(bad_server.answer) as (bad, channel):
        bad.behave_health = behave_health
        began = time.monotonic()
        assert await told(channel, "Add", timeout_s) == expected
        assert time.monotonic() - began < timeout_s + SLACK_S
        assert bad.calls == []


async def close(connection: BadConnection) -> None:
    """Closes at once."""
    connection.close()


async def close_after_preface(connection: BadConnection) -> None:
    """Closes when the client has begun to speak."""
    await connection.preface()
    connection.close()


@pytest.mark.parametrize("greeting", [close, close_after_preface])
async def test_a_connection_that_is_closed(greeting):
    """C12: a connection that is closed before or after the client's preface: the call fails, and no handler saw any."""
    async with facing(bad_server.answer) as (bad, channel):
        bad.greeting, bad.settings = greeting, None
        assert await told(channel, "Add", SLOW_S) == UNREACHABLE
        assert bad.calls == []
        assert len(bad.connections) >= 1
        bad.greeting, bad.settings = None, {}
        stub = pb_grpc.PingServiceStub(channel)
        assert await stub.Ping(pb.PingRequest(), timeout=SLOW_S, wait_for_ready=True) == pb.PingResponse()


async def test_connection_backoff():
    """C12: connections are closed as they come: the gaps grow from 0.1 to 1 s, as our options say, each ±20 %.

    INTEROP_BACKOFF_S says for how many seconds.
    """
    options = dict(OPTIONS)
    gap_s, longest_s = (options[f"grpc.{name}_reconnect_backoff_ms"] / 1000 for name in ("initial", "max"))
    async with facing(bad_server.answer) as (bad, channel):
        bad.greeting, bad.settings = close, None
        stub = pb_grpc.PingServiceStub(channel)
        with pytest.raises(ServiceError) as failed:
            await stub.PingMany(pb.PingManyRequest(), timeout=BACKOFF_S, wait_for_ready=True).read()
        assert failed.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        gaps = [later - earlier for earlier, later in pairwise(bad.connections)]
    expected = [min(longest_s, gap_s * 1.6**number) for number in range(len(gaps))]
    print("gaps", [f"{gap:.2f}" for gap in gaps])
    # A busy machine may be late, and the next one is nearer then: two together are never early.
    both = zip(pairwise(gaps), pairwise(expected), strict=True)
    assert [pair for pair in both if sum(pair[0]) < 0.75 * sum(pair[1])] == []
    assert [pair for pair in zip(gaps, expected, strict=True) if pair[0] > 1.25 * pair[1] + SLACK_S] == []
    assert len(gaps) >= BACKOFF_S / (1.25 * longest_s + SLACK_S)
