"""gRPC's interoperability tests (doc/interop-test-descriptions.md of grpc/grpc), by name, against our server chain.

Each is run by our client with its whole chain, by grpc.aio without it, and by gRPC's own synchronous client.

Where we are other than the list, on purpose: the contract is one of ours, since every method of ours has a policy; and
the tests of credentials are left out, since tokens of ours are no Google accounts.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import interop_service_pb2 as pb
from trunk.testing.v1 import interop_service_pb2_grpc as pb_grpc

from tests.faults.interop.clients import KINDS, METHODS, AioClient, Client, client
from tests.faults.interop.echo import INITIAL, TRAILING, Echo
from tests.faults.interop.serving import served
from tests.faults.interop.tap import Tap
from tests.shop.waiting import until

UP_BYTES, DOWN_BYTES = 271_828, 314_159
REQUESTS_BYTES, ANSWERS_BYTES = (27_182, 8, 1_828, 45_904), (31_415, 9, 2_653, 58_979)
"""Sizes of the list."""
OK = grpc.StatusCode.OK
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
"""The list's text, which HTTP/2 can only carry escaped."""


class Wired:
    """A client of the bench, the bench, and the wire between them."""

    def __init__(self, client: Client, echo: Echo, tap: Tap) -> None:
        self.client = client
        """Asks."""
        self.echo = echo
        """Answers."""
        self.tap = tap
        """Sees what passes."""


@pytest.fixture(params=KINDS)
async def wired(request) -> AsyncIterator[Wired]:
    """Each client in its turn."""
    async with served() as (server, echo), Tap(server.port) as tap, client(request.param, tap.port) as caller:
        yield Wired(caller, echo, tap)


def large(**more: Any) -> pb.GiveRequest:
    """The list's large request."""
    return pb.GiveRequest(body=bytes(UP_BYTES), wanted=pb.WantedAnswer(size_bytes=DOWN_BYTES), **more)


def sizes(answers: list[Any]) -> list[int]:
    """Lengths of the bodies of answers."""
    return [len(answer.body) for answer in answers]


async def test_empty_unary(wired):
    """empty_unary: messages of zero bytes are messages."""
    found = await wired.client.call("Nothing", pb.NothingRequest())
    assert (found.code, found.answers) == (OK, [pb.NothingResponse()])


async def test_large_unary(wired):
    """large_unary: messages larger than a window of flow control arrive whole."""
    found = await wired.client.call("Give", large())
    assert (found.code, sizes(found.answers)) == (OK, [DOWN_BYTES])


async def test_client_compressed_unary(wired):
    """client_compressed_unary: compressed and plain requests are served; one that is other than it says is refused."""
    wired.echo.flags = wired.tap.requests
    probe = await wired.client.call("Give", large(compressed=True))
    assert probe.code is grpc.StatusCode.INVALID_ARGUMENT
    squeezed = await wired.client.call("Give", large(compressed=True), compression=grpc.Compression.Gzip)
    plain = await wired.client.call("Give", large(compressed=False))
    assert [(one.code, sizes(one.answers)) for one in (squeezed, plain)] == [(OK, [DOWN_BYTES])] * 2


async def test_server_compressed_unary(wired):
    """server_compressed_unary: an answer is compressed if it is asked for, and only then."""
    for compressed in (True, False):
        request = large()
        request.wanted.compressed = compressed
        found = await wired.client.call("Give", request)
        assert (found.code, sizes(found.answers)) == (OK, [DOWN_BYTES])
    assert wired.tap.answers == [True, False]


async def test_client_streaming(wired):
    """client_streaming: all requests reach the handler."""
    requests = [pb.TakeRequest(body=bytes(size)) for size in REQUESTS_BYTES]
    found = await wired.client.call("Take", *requests)
    assert (found.code, found.answers) == (OK, [pb.TakeResponse(size_bytes=74_922)])


async def test_client_compressed_streaming(wired):
    """client_compressed_streaming: of one stream, one request is compressed and the next is not.

    gRPC's Python clients cannot ask for that by message; a message that would not shrink is sent as it is.
    """
    wired.echo.flags = wired.tap.requests
    probe = await wired.client.call("Take", pb.TakeRequest(body=bytes(27_182), compressed=True))
    assert probe.code is grpc.StatusCode.INVALID_ARGUMENT
    requests = (
        pb.TakeRequest(body=bytes(27_182), compressed=True),
        pb.TakeRequest(body=random.Random(1).randbytes(45_904), compressed=False),
    )
    found = await wired.client.call("Take", *requests, compression=grpc.Compression.Gzip)
    assert (found.code, found.answers) == (OK, [pb.TakeResponse(size_bytes=73_086)])


async def test_server_streaming(wired):
    """server_streaming: exactly the answers that were asked for, in order."""
    wanted = [pb.WantedAnswer(size_bytes=size) for size in ANSWERS_BYTES]
    found = await wired.client.call("GiveMany", pb.GiveManyRequest(wanted=wanted))
    assert (found.code, sizes(found.answers)) == (OK, [*ANSWERS_BYTES])


async def test_server_compressed_streaming(wired):
    """server_compressed_streaming: of one stream, one answer is compressed and the next is not."""
    wanted = [pb.WantedAnswer(size_bytes=size, compressed=size == 31_415) for size in (31_415, 92_653)]
    found = await wired.client.call("GiveMany", pb.GiveManyRequest(wanted=wanted))
    assert (found.code, sizes(found.answers)) == (OK, [31_415, 92_653])
    assert wired.tap.answers == [True, False]


def exchange(up_bytes: int, *down_bytes: int, **more: Any) -> pb.ExchangeRequest:
    """A request of a conversation."""
    wanted = [pb.WantedAnswer(size_bytes=size) for size in down_bytes]
    return pb.ExchangeRequest(body=bytes(up_bytes), wanted=wanted, **more)


async def test_ping_pong(wired):
    """ping_pong: each request is sent after the answer to the one before."""
    requests = [exchange(up, down) for up, down in zip(REQUESTS_BYTES, ANSWERS_BYTES, strict=True)]
    found = await wired.client.call("Exchange", *requests)
    assert (found.code, sizes(found.answers)) == (OK, [*ANSWERS_BYTES])


async def test_empty_stream(wired):
    """empty_stream: a stream without messages in either direction is a success."""
    found = await wired.client.call("Exchange")
    assert (found.code, found.answers) == (OK, [])


ECHOED = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))


async def test_custom_metadata(wired):
    """custom_metadata: text comes back first, bytes come back last, of a single call and of a conversation."""
    for name, request in (("Give", large()), ("Exchange", exchange(UP_BYTES, DOWN_BYTES))):
        found = await wired.client.call(name, request, metadata=ECHOED)
        assert (found.code, sizes(found.answers)) == (OK, [DOWN_BYTES])
        assert ECHOED[0] in map(tuple, found.initial)
        assert ECHOED[1] in map(tuple, found.trailing)


@pytest.mark.parametrize("text", ["test status message", SPECIAL], ids=["plain", "special"])
@pytest.mark.parametrize("name", ["Give", "Exchange"])
async def test_status_code_and_message(wired, name, text):
    """status_code_and_message, special_status_message: both arrive as the handler said, whatever the text is."""
    failure = pb.WantedFailure(code=2, message=text)
    request = pb.GiveRequest(failure=failure) if name == "Give" else pb.ExchangeRequest(failure=failure)
    found = await wired.client.call(name, request)
    assert (found.code, found.details, found.answers) == (grpc.StatusCode.UNKNOWN, text, [])


async def test_unimplemented_method(wired):
    """unimplemented_method: a method that nobody has written."""
    found = await wired.client.call("Unwritten", pb.UnwrittenRequest())
    assert found.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", ["ours", "aio"])
async def test_unimplemented_service(kind):
    """unimplemented_service: a service that nobody serves."""
    async with served() as (server, _), client(kind, server.port, pb_grpc.UnservedServiceStub) as caller:
        assert isinstance(caller, AioClient)
        call = caller._stub.Unserved(pb.UnservedRequest())
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_cancel_after_begin(wired):
    """cancel_after_begin: a stream of requests that is cancelled before the first of them."""
    found = await wired.client.call("Take", cancel_after=0)
    assert (found.code, found.answers) == (grpc.StatusCode.CANCELLED, [])


async def test_cancel_after_first_response(wired):
    """cancel_after_first_response: the caller is told CANCELLED, and the handler is cancelled."""
    found = await wired.client.call("Exchange", exchange(27_182, 31_415), cancel_after=1)
    assert (found.code, sizes(found.answers)) == (grpc.StatusCode.CANCELLED, [31_415])
    await until(lambda: wired.echo.cancelled["Exchange"] == 1, "the handler is cancelled")


async def test_timeout_on_sleeping_server(wired):
    """timeout_on_sleeping_server: a millisecond is over, whether the server has heard of the call or not.

    Our client does not even send it: less than its reserve is left.
    """
    found = await wired.client.call("Exchange", exchange(27_182, sleep_ms=1_000), timeout=0.001)
    assert (found.code, found.answers) == (grpc.StatusCode.DEADLINE_EXCEEDED, [])


def test_nothing_is_left_out():
    """Every method of the bench is called by a test here."""
    assert set(METHODS) == {"Nothing", "Give", "GiveMany", "Take", "Exchange", "Unwritten"}
