"""How failures leave a server, whatever they are, and how they arrive hops away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.errors import STATUS_LIMIT_BYTES, ServiceError, Violation, not_found
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.servicers import Hop
from tests.trunkline.interceptors.shapes import SHAPES, failing, failure, send, stranger

LEAK = "postgresql://shop:hunter2@db/items SELECT pan FROM cards"


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_unknown_exception_tells_nothing_but_an_id(shape):
    """INTERNAL with an id, found in the log; no text, no class name, nothing of the exception."""
    async with bench() as on:
        with structlog.testing.capture_logs() as lines:
            error = await failure(on.ping, shape, pb.Behaviour(raise_text=LEAK))
        assert (error.code, error.reason, error.domain) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", "trunk")
        assert (error.message, list(error.metadata)) == ("internal error", ["error_id"])
        assert "hunter2" not in repr(error)
        (line,) = [line for line in lines if line.get("error_id") == error.metadata["error_id"]]
        assert isinstance(line["exc_info"], ValueError)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_stranger_learns_no_more(shape):
    """Status text and trailers of an unknown exception are the same fixed words for a client without our chain."""
    async with bench() as on, stranger(on) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(pb_grpc.PingServiceStub(channel), shape, pb.Behaviour(raise_text=LEAK))
        assert caught.value.details() == "internal error"
        assert "hunter2" not in repr(list(caught.value.trailing_metadata()))


async def test_everybody_can_read_the_details():
    """A client of the field's own tools finds one ErrorInfo in google.rpc.Status."""
    async with bench() as on, stranger(on) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(pb_grpc.PingServiceStub(channel), "Ping", failing(grpc.StatusCode.NOT_FOUND))
        error: Any = caught.value
        status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        assert (status.code, status.message) == (code_pb2.NOT_FOUND, error.details())
        info = error_details_pb2.ErrorInfo()
        (detail,) = status.details
        assert detail.Unpack(info)
        assert (info.reason, info.domain, dict(info.metadata)) == ("AS_ASKED", "trunk.testing", {"attempt": "1"})


FULL = ServiceError(
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SHELF_FULL",
    "no room for größere Kisten",
    {"shelf": "A-1", "größe": "XL"},
    domain="pos.stock",
    violations=[Violation("boxes[1].size", "too large"), Violation("boxes[2].size", "larger still")],
    retry_after_s=12.5,
    exhausted=True,
)


class Raiser(pb_grpc.PingServiceServicer):
    """Fails with what it was given, in every shape."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def Ping(self, request: Any, context: Any) -> pb.PingResponse:
        """Fails."""
        raise self.error

    async def PingMany(self, request: Any, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """Fails before its first answer."""
        raise self.error
        yield

    async def PingAll(self, request_iterator: Any, context: Any) -> pb.PingAllResponse:
        """Fails without reading."""
        raise self.error

    async def PingChat(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.PingChatResponse]:
        """Fails after one answer."""
        async for request in request_iterator:
            yield pb.PingChatResponse(value=request.value)
            raise self.error


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_failure_loses_nothing(shape):
    """Everything a handler says arrives, in every shape."""
    async with bench(ping=Raiser(FULL)) as on:
        assert same(await failure(on.ping, shape), FULL)


@pytest.mark.parametrize("shape", SHAPES)
async def test_three_hops_lose_nothing(shape):
    """The edge's caller sees what the last server said: code, reason, domain, metadata, violations, push-back."""
    async with (
        bench(ping=Raiser(FULL)) as last,
        bench(ping=Hop(last.ping)) as middle,
        bench(ping=Hop(middle.ping)) as edge,
    ):
        assert same(await failure(edge.ping, shape), FULL)


def same(arrived: ServiceError, sent: ServiceError) -> bool:
    """Whether nothing was lost."""
    return (
        (arrived.code, arrived.reason, arrived.domain, arrived.message)
        == (sent.code, sent.reason, sent.domain, sent.message)
        and dict(arrived.metadata) == dict(sent.metadata)
        and list(arrived.violations) == list(sent.violations)
        and (arrived.retry_after_s, arrived.exhausted) == (sent.retry_after_s, sent.exhausted)
    )


async def test_the_server_fills_in_its_domain_once():
    """A reason without a domain is of the server's package, and stays so over the hops above."""
    unknown = Raiser(not_found("ITEM_UNKNOWN", "no such item"))
    async with bench(ping=unknown) as last, bench(ping=Hop(last.ping)) as edge:
        assert (await failure(edge.ping, "Ping")).domain == "trunk.testing"


@pytest.mark.parametrize(
    "error",
    [
        ServiceError(grpc.StatusCode.NOT_FOUND, "R", "m", {"count": 5}),  # type: ignore[dict-item]
        ServiceError(grpc.StatusCode.OK, "R", "m"),
        ServiceError(grpc.StatusCode.UNAVAILABLE, "R", "m", retry_after_s=float("nan")),
    ],
    ids=["metadata", "OK", "nan"],
)
async def test_a_failure_that_cannot_be_written_is_unknown(error):
    """A number among the texts, a failure named OK: the caller gets INTERNAL with an id, not a hanging call."""
    async with bench(ping=Raiser(error)) as on:
        with structlog.testing.capture_logs() as lines:
            arrived = await failure(on.ping, "Ping", timeout=2.0)
        assert (arrived.code, arrived.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
        assert any(line.get("error_id") == arrived.metadata["error_id"] for line in lines)


@pytest.mark.parametrize("text", ["x" * 100_000, "ä" * 50_000, "€\n" * 20_000, "half a \ud800 character"])
async def test_long_and_odd_texts_arrive(text):
    """A text that would not fit the headers is cut; without that the client would see RESOURCE_EXHAUSTED."""
    violations = [Violation(f"f[{number}]", text[:1000]) for number in range(200)]
    error = ServiceError(grpc.StatusCode.NOT_FOUND, "R", text, {"value": text}, violations=violations)
    async with bench(ping=Raiser(error)) as on:
        arrived = await failure(on.ping, "Ping")
        assert (arrived.code, arrived.reason) == (grpc.StatusCode.NOT_FOUND, "R")
        assert 0 < len(arrived.message.encode()) <= STATUS_LIMIT_BYTES
        assert arrived.violations


class Aborter(pb_grpc.PingServiceServicer):
    """Written without this library: fails by its context, and goes on."""

    def __init__(self, abort: Callable[[Any], Any], after: Exception | None = None) -> None:
        self.abort = abort
        self.after = after

    async def _abort(self, context: Any) -> None:
        with suppress(Exception):
            await self.abort(context)
        if self.after is not None:
            raise self.after

    async def Ping(self, request: Any, context: Any) -> pb.PingResponse:
        """Answers in spite of all."""
        await self._abort(context)
        return pb.PingResponse(value="done")

    async def PingMany(self, request: Any, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """Answers in spite of all."""
        await self._abort(context)
        yield pb.PingManyResponse(value="done")

    async def PingAll(self, request_iterator: Any, context: Any) -> pb.PingAllResponse:
        """Answers in spite of all."""
        await self._abort(context)
        return pb.PingAllResponse(values=["done"])

    async def PingChat(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]
        """Writes in spite of all."""
        await self._abort(context)
        await context.write(pb.PingChatResponse(value="done"))


def plain(context: Any) -> Any:
    """The plain way to abort."""
    return context.abort(grpc.StatusCode.NOT_FOUND, "gone")


def rich(context: Any) -> Any:
    """The way of grpc_status, with details."""
    status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="gone")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="THEIRS", domain="theirs"))
    return context.abort_with_status(rpc_status.to_status(status))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("abort", "reason"), [(plain, ""), (rich, "THEIRS")])
@pytest.mark.parametrize("after", [None, ValueError("afterwards")], ids=["answers", "raises"])
async def test_a_handler_that_swallows_its_abort(shape, abort, reason, after):
    """Whatever it does afterwards, the call ends as it asked first, and no message is sent."""
    async with bench(ping=Aborter(abort, after)) as on:
        error = await failure(on.ping, shape)
        assert (error.code, error.message, error.reason) == (grpc.StatusCode.NOT_FOUND, "gone", reason)


async def test_what_nobody_wrote_is_unimplemented():
    """A method that a servicer does not have is told as such, not as a failure of the server."""

    class Partial(pb_grpc.PingServiceServicer):
        async def Ping(self, request: Any, context: Any) -> pb.PingResponse:
            return pb.PingResponse()

    async with bench(ping=Partial()) as on:  # type: ignore[abstract]
        await send(on.ping, "Ping")
        for shape in SHAPES[1:]:
            assert (await failure(on.ping, shape)).code is grpc.StatusCode.UNIMPLEMENTED


async def test_a_handlers_own_timeout_is_internal():
    """A handler that waited too long for something else has not met its caller's deadline."""
    async with bench(ping=Raiser(TimeoutError("lock"))) as on:
        assert (await failure(on.ping, "Ping")).code is grpc.StatusCode.INTERNAL
