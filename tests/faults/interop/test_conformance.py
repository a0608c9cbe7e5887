"""The cases of connectrpc/conformance that apply to a gRPC server, by suite, against our whole server chain.

Those of TLS are left out: ports of ours are plain, and a mesh or a proxy brings TLS where it is wanted. gRPC-Web and
Connect are other protocols.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import interop_service_pb2 as pb

from tests.faults.interop.clients import KINDS, Client, Outcome, client
from tests.faults.interop.echo import INITIAL, TRAILING, Echo
from tests.faults.interop.serving import served
from tests.shop.waiting import until

SHAPES = {
    "Give": pb.GiveRequest,
    "GiveMany": pb.GiveManyRequest,
    "Take": pb.TakeRequest,
    "Exchange": pb.ExchangeRequest,
}
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
LIMIT_BYTES = 4 * 1024 * 1024
"""Longest message of a request or an answer."""
TIMEOUT_S, SLACK_S = 0.3, 2.0
TEXT = "it went wrong: ünïcødé 失敗 🤷"
ECHOED = ((INITIAL, "first"), (INITIAL, "second"), (TRAILING, b"\x00\xff"), (TRAILING, b"other"))


@pytest.fixture(params=KINDS)
async def bench(request) -> AsyncIterator[tuple[Client, Echo]]:
    """Each client in its turn, and the bench."""
    async with served() as (server, echo), client(request.param, server.port) as caller:
        yield caller, echo


def echoed(found: Outcome) -> list[tuple[str, Any]]:
    """What came back of the metadata, in order."""
    pairs = [*map(tuple, found.initial), *map(tuple, found.trailing)]
    return [(name, value) for name, value in pairs if name in {INITIAL, TRAILING}]


async def test_deadline_propagation(bench):
    """Deadline Propagation: the handler is told what was left of the caller's deadline."""
    caller, _ = bench
    found = await caller.call("Give", pb.GiveRequest(), timeout=4)
    # gRPC rounds what it sends up, by a hundredth at most.
    assert 4_000 - SLACK_S * 1_000 < found.answers[0].remaining_ms <= 4_040


@pytest.mark.parametrize("shape", SHAPES)
async def test_duplicate_metadata(bench, shape):
    """Duplicate Metadata: several values of one name arrive, and come back, each and in order."""
    caller, _ = bench
    found = await caller.call(shape, SHAPES[shape](), metadata=ECHOED)
    assert (found.code, echoed(found)) == (grpc.StatusCode.OK, list(ECHOED))


@pytest.mark.parametrize("shape", SHAPES)
async def test_errors(bench, shape):
    """Errors: every code arrives with its text, whatever letters it has, with metadata, after the answers before it.

    A good call stands between two of them: our breaker opens after five failures in a row.
    """
    caller, _ = bench
    answers = {"GiveMany", "Exchange"} & {shape}
    for code in CODES:
        request = SHAPES[shape](failure=pb.WantedFailure(code=code.value[0], message=TEXT))
        if answers:
            request.wanted.add(size_bytes=3)
        assert (await caller.call(shape, SHAPES[shape]())).code is grpc.StatusCode.OK
        found = await caller.call(shape, request, metadata=ECHOED)
        assert (found.code, found.details, len(found.answers)) == (code, TEXT, len(answers))
        assert echoed(found) == list(ECHOED)


@pytest.mark.parametrize("shape", SHAPES)
async def test_timeouts(bench, shape):
    """Timeouts: a call ends at its deadline, and so does its handler."""
    caller, echo = bench
    began = time.monotonic()
    found = await caller.call(shape, SHAPES[shape](sleep_ms=30_000), timeout=TIMEOUT_S)
    assert found.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < TIMEOUT_S + SLACK_S
    await until(lambda: echo.cancelled[shape] >= 1, "the handler is cancelled")


def exactly(kind: Any, size_bytes: int) -> Any:
    """A request of so many bytes on the wire."""
    head = len(kind(body=bytes(size_bytes)).SerializeToString()) - size_bytes
    return kind(body=bytes(size_bytes - head))


@pytest.mark.parametrize(
    ("shape", "later"), [*((shape, False) for shape in SHAPES), ("Take", True), ("Exchange", True)]
)
async def test_server_message_size(bench, shape, later):
    """Server Message Size: a message as long as the limit is served, one byte more is refused, first or later."""
    caller, _ = bench
    before = [SHAPES[shape]()] if later else []
    equal, exceeding = (exactly(SHAPES[shape], LIMIT_BYTES + more) for more in (0, 1))
    assert len(equal.SerializeToString()) == LIMIT_BYTES
    assert (await caller.call(shape, *before, equal)).code is grpc.StatusCode.OK
    assert (await caller.call(shape, *before, exceeding)).code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_client_message_size(bench):
    """Client Message Size: an answer beyond the limit is refused by who would send it, not cut."""
    caller, _ = bench
    wanted = pb.WantedAnswer(size_bytes=LIMIT_BYTES + 1)
    for name, request in (("Give", pb.GiveRequest(wanted=wanted)), ("GiveMany", pb.GiveManyRequest(wanted=[wanted]))):
        found = await caller.call(name, request)
        assert (found.code, found.answers) == (grpc.StatusCode.RESOURCE_EXHAUSTED, [])


async def test_server_empty_requests(bench):
    """Server Empty Requests: streams without requests, and requests of no bytes, are served."""
    caller, _ = bench
    for shape in ("Take", "Exchange"):
        assert (await caller.call(shape)).code is grpc.StatusCode.OK
    for shape, kind in SHAPES.items():
        assert kind().SerializeToString() == b""
        assert (await caller.call(shape, kind())).code is grpc.StatusCode.OK
