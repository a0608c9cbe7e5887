"""Streams: one that was left ends at the server, one that was killed too, and one that has begun is not repeated."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from functools import partial
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.testing.fault_modes import Freeze
from trunkline.testing.fault_proxy import LOOPBACK, FaultProxy

from tests.faults.calls.calling import SOON_S, Caller, calling, repeated
from tests.faults.calls.instance import ROOT, Instance
from tests.faults.calls.servicers import KEY
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-calls")
MOST = 100_000
"""Answers that are asked for: more than the buffers between the two can hold."""


def many(caller: Caller, key: str, *, count: int = MOST, fail_after: int = 0, **behaviour: Any) -> Any:
    """A stream of answers."""
    asked = pb.Behaviour(attempt_key=key, **behaviour)
    request = pb.PingManyRequest(value="x" * 1000, count=count, fail_after=fail_after, behaviour=asked)
    return caller.pings.PingMany(request, timeout=45.0, metadata=((KEY, key),))


async def read_three(call: Any) -> None:
    """Reads three answers in a loop, and leaves it."""
    seen = 0
    async for _ in call:
        seen += 1
        if seen == 3:
            break


@pytest.mark.parametrize("how", ["break", "cancel", "forgotten"])
async def test_a_reader_leaves(server: Instance, key: str, how: str):
    """A25: a reader that breaks out of the loop, cancels, or drops the call lets the handler's generator end."""
    async with calling(server.target) as caller:
        call = many(caller, key)
        if how == "break":
            await read_three(call)
        else:
            await call.read()
        if how == "cancel":
            call.cancel()
        left = time.monotonic()
        if how == "forgotten":
            del call
        await until(partial(server.journal.count, key, "cancelled"), "the generator has ended")
        assert server.journal.of(key, "cancelled")[0].at < left + SOON_S
        await caller.is_well()


async def test_many_readers_leave(server: Instance, key: str):
    """A25: two hundred readers leave in the middle of a write: each call is cancelled, and none fails in the log."""
    async with calling(server.target) as caller:
        for _ in range(10):
            calls = [many(caller, key) for _ in range(20)]
            await asyncio.gather(*(call.read() for call in calls))
            for call in calls:
                call.cancel()
        await until(lambda: server.journal.count(key, "cancelled") == 200, "all generators have ended")
        await until(lambda: not server.journal.running(), "all handlers have ended")
        await caller.is_well()
    told = [line for line in server.log.splitlines() if "PingMany" in line]
    assert [line for line in told if '"level": "error"' in line or "INTERNAL" in line] == []


async def test_a_reader_is_killed(server: Instance, key: str):
    """A25: the reader's process dies by kill -9 in the middle of a stream, and the handler's generator ends."""
    command = [sys.executable, "-m", "tests.faults.calls.reader", server.target, key]
    reader = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    assert reader.stdout is not None
    assert await reader.stdout.readline() == b"reading\n"
    assert server.journal.count(key, "began") == 1
    assert server.journal.count(key, "cancelled") == 0
    reader.kill()
    await reader.wait()
    killed = time.monotonic()
    await until(partial(server.journal.count, key, "cancelled"), "the generator has ended")
    assert server.journal.of(key, "cancelled")[0].at < killed + SOON_S


async def test_a_stream_that_has_begun(server: Instance, key: str):
    """A27: a first answer, then UNAVAILABLE: the call is committed to that attempt, and the failure is told."""
    async with calling(server.target) as caller:
        call = many(caller, key, count=5, fail_after=1, fail_with=repeated(*[grpc.StatusCode.UNAVAILABLE] * 3))
        assert (await call.read()).index == 0
        with pytest.raises(ServiceError, match="UNAVAILABLE") as caught:
            await call.read()
        assert caught.value.exhausted is False
        await caller.is_well()
    assert server.journal.count(key, "arrived") == 1


async def test_a_stream_that_has_not_begun(server: Instance, key: str):
    """A27: UNAVAILABLE before the first answer is repeated, and the reader sees one whole stream."""
    async with calling(server.target) as caller:
        call = many(caller, key, count=5, fail_with=repeated(grpc.StatusCode.UNAVAILABLE))
        assert [(one.index, one.attempt) async for one in call] == [(number, 2) for number in range(5)]
    assert server.journal.count(key, "arrived") == 2


async def test_a_connection_is_reset_under_a_stream(server: Instance, key: str):
    """A7, A27: reset between two answers, a stream fails once, its generator ends, and the next stream is whole."""
    async with FaultProxy(LOOPBACK, server.port) as proxy, calling(proxy.target) as caller:
        call = many(caller, key)
        await call.read()
        await proxy.set(Freeze())
        await proxy.reset_connections()
        await proxy.heal()
        with pytest.raises(ServiceError, match="PEER_UNREACHABLE"):
            async for _ in call:
                pass
        await until(partial(server.journal.count, key, "cancelled"), "the generator has ended")
        assert server.journal.count(key, "arrived") == 1
        assert len([one async for one in many(caller, f"{key}-next", count=5)]) == 5
        await caller.is_well()
