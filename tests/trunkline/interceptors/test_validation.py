"""From bytes to a request: what is no message, no method, or breaks its contract, never reaches a handler."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError, Violation, from_call
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.shapes import SERVICE, SHAPES, STREAMS, failure, send_bytes, stranger, stream

GOOD = pb.PingRequest(value="v").SerializeToString()
JUNK = {
    "garbage": b"\xff\xff\xff\xff",
    "truncated": b"\x0a\x05ab",
    "not utf-8": b"\x0a\x02\xc3\x28",
    "too deep": b"\x0b" * 101,
}
ARITIES = list(STREAMS.values())


async def refusal(on: Bench, path: str, *raw: bytes, streams: str) -> ServiceError:
    """What a stranger who sends these bytes is told."""
    async with stranger(on) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send_bytes(channel, path, raw, streams=streams, timeout=3.0)
    trailers: Any = caught.value.trailing_metadata()
    return from_call(caught.value.code(), caught.value.details(), list(trailers or ()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("junk", JUNK.values(), ids=list(JUNK))
async def test_bytes_that_are_no_message(shape, junk):
    """INVALID_ARGUMENT with a fixed text, in every shape; neither UNKNOWN nor the name of a type."""
    async with bench() as on:
        error = await refusal(on, SERVICE + shape, junk, streams=STREAMS[shape])
        assert (error.code, error.reason, error.domain) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "MESSAGE_UNREADABLE",
            "trunk",
        )
        assert error.message == "the request is not a message of its type"
        assert not on.reached.attempts
        assert on.reached.calls[shape] == 0


@pytest.mark.parametrize("shape", ["PingAll", "PingChat"])
async def test_a_bad_message_after_a_good_one(shape):
    """A stream of requests ends at the first that cannot be read."""
    async with bench() as on:
        error = await refusal(on, SERVICE + shape, GOOD, JUNK["garbage"], streams=STREAMS[shape])
        assert error.reason == "MESSAGE_UNREADABLE"
        assert on.reached.calls[shape] == 1


@pytest.mark.parametrize(("shape", "streams"), [("Ping", "stream_unary"), ("PingMany", "stream_stream")])
async def test_a_call_without_its_message_is_answered(shape, streams):
    """A unary call that is half-closed with no message gets a status at once; grpcio alone never answers it."""
    async with bench() as on:
        error = await refusal(on, SERVICE + shape, streams=streams)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE")
        assert not on.reached.calls


@pytest.mark.parametrize("shape", ["PingAll", "PingChat"])
async def test_no_request_is_a_stream_too(shape):
    """A stream of no requests reaches its handler."""
    async with bench() as on, stranger(on) as channel:
        replies = await send_bytes(channel, SERVICE + shape, [], streams=STREAMS[shape])
        assert replies == ([b""] if shape == "PingAll" else [])


@pytest.mark.parametrize("streams", ARITIES)
@pytest.mark.parametrize("path", [SERVICE + "Nope", "/no.such.Service/Ping", SERVICE + "ping", "//x", SERVICE])
async def test_a_method_nobody_serves(streams, path):
    """UNIMPLEMENTED for every arity, never UNKNOWN: nothing assumes the shape of what is not there."""
    async with bench() as on:
        error = await refusal(on, path, GOOD, streams=streams)
        assert error.code is grpc.StatusCode.UNIMPLEMENTED
        assert not on.reached.calls


@pytest.mark.parametrize(
    ("behaviour", "fields"),
    [
        (pb.Behaviour(sleep_ms=-1), ["behaviour.sleep_ms"]),
        (pb.Behaviour(fail_with=[1, 99]), ["behaviour.fail_with[1]"]),
        (pb.Behaviour(fail_with=[0] * 17), ["behaviour.fail_with"]),
        (pb.Behaviour(sleep_ms=60_001, attempt_key="k" * 129), ["behaviour.attempt_key", "behaviour.sleep_ms"]),
    ],
    ids=["range", "element", "length", "two"],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_violations_carry_the_paths_of_their_fields(shape, behaviour, fields):
    """REQUEST_INVALID names every field that breaks its contract, and what it breaks."""
    async with bench() as on:
        error = await failure(on.ping, shape, behaviour)
        assert (error.code, error.reason, error.domain) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "REQUEST_INVALID",
            "trunk",
        )
        assert sorted(one.field for one in error.violations) == fields
        assert all(isinstance(one, Violation) and one.description for one in error.violations)
        assert error.metadata["field"] in fields
        assert on.reached.calls[shape] == 0


async def test_what_is_sent_later_is_checked_too():
    """Every message of a stream is held to its contract, not only the first."""
    async with bench() as on:
        with pytest.raises(ServiceError, match="REQUEST_INVALID"):
            await on.ping.PingAll(
                stream(pb.PingAllRequest(value="ok"), pb.PingAllRequest(behaviour=pb.Behaviour(sleep_ms=-1)))
            )
        assert on.reached.calls["PingAll"] == 1


async def test_fields_of_a_later_version_do_no_harm():
    """A field that this version does not know is left alone."""
    async with bench() as on, stranger(on) as channel:
        (raw,) = await send_bytes(channel, SERVICE + "Ping", [GOOD + b"\xfa\x3f\x01x"], streams="unary_unary")
        assert pb.PingResponse.FromString(raw).value == "v"
