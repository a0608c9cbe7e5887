"""What a bad server may answer, and what a caller of ours must be told then."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.testing import bad_server
from trunkline.testing.bad_connection import DATA, SETTINGS, BadCall, frame, prefixed
from trunkline.testing.bad_server import Behaviour

OVER_LIMIT_BYTES = 4 * 1024 * 1024 + 1
"""More than a message of an answer may have."""
HUGE_BYTES = 200_000
"""More than headers may have."""
QUICK_S, SLOW_S = 0.4, 10.0
"""Deadlines: of what never ends, and of what ends by itself."""
_HALF = prefixed(b"\x0a\x04abcd")[:7]


PAGE = b"<html>not here</html>"


def http(status: str, content_type: str, page: bytes = b"") -> Behaviour:
    """Answers as a web server does that knows nothing of gRPC."""

    async def behave(call: BadCall) -> None:
        call.headers(status=status, content_type=content_type, end=not page)
        if page:
            await call.data(page)
            call.end()

    return behave


def body(raw: bytes, grpc_status: str | None = "0", **headers: Any) -> Behaviour:
    """Answers with bytes and a status."""

    async def behave(call: BadCall) -> None:
        call.headers(**headers)
        await call.data(raw)
        call.trailers(grpc_status)

    return behave


def status(grpc_status: str | None, **trailers: str) -> Behaviour:
    """Answers with an empty message and trailers."""

    async def behave(call: BadCall) -> None:
        call.headers()
        await call.data(prefixed(b""))
        call.trailers(grpc_status, **trailers)

    return behave


def reset(code: int) -> Behaviour:
    """Resets the call before it is looked at."""

    async def behave(call: BadCall) -> None:
        call.reset(code)

    return behave


async def half(call: BadCall) -> None:
    """Begins a message, and says no more."""
    call.headers()
    await call.data(_HALF)


async def half_and_reset(call: BadCall) -> None:
    """Begins a message, and resets the call."""
    call.headers()
    await call.data(_HALF)
    call.reset(2)


async def lying_length(call: BadCall) -> None:
    """Announces a message of two gigabytes."""
    call.headers()
    await call.data(struct.pack(">BI", 0, 2**31))


async def silence(_: BadCall) -> None:
    """Says nothing."""


async def after_the_end(call: BadCall) -> None:
    """Answers well, and then sends more on the stream that has ended."""
    await call.answer()
    call.connection.raw(frame(DATA, 0, call.stream, prefixed(b"more")))


async def goaway_below(call: BadCall) -> None:
    """Says that it has not looked at the call, and will not."""
    call.connection.goaway(call.stream - 1)


async def cut(call: BadCall) -> None:
    """Closes the connection."""
    call.connection.close()


async def broken_frame(call: BadCall) -> None:
    """Sends SETTINGS of an illegal length."""
    call.connection.raw(frame(SETTINGS, 0, 0, b"123"))


@dataclass(frozen=True, slots=True)
class BadAnswer:
    """One way to answer badly."""

    name: str
    """What it is called in the report of a test."""
    behave: Behaviour
    """What the server does."""
    told: str
    """Code and reason that the caller is told; `OK` where no harm is done."""
    repeated: bool = False
    """It may be repeated, where contract and shape allow."""
    counts: bool = True
    """It speaks against the server: the breaker counts it."""
    hangs: bool = False
    """It never ends by itself: the deadline must hold."""


UNREACHABLE, EXPIRED, UNREADABLE = (
    "UNAVAILABLE PEER_UNREACHABLE",
    "DEADLINE_EXCEEDED DEADLINE_EXPIRED",
    "INTERNAL ANSWER_UNREADABLE",
)
LONG = pb.PingResponse(value="a" * OVER_LIMIT_BYTES).SerializeToString()
BAD_ANSWERS = (
    BadAnswer("rst_after_header", bad_server.rst_after_header, "INTERNAL "),
    BadAnswer("rst_during_data", bad_server.rst_during_data, "INTERNAL "),
    BadAnswer("rst_after_data", bad_server.rst_after_data, "INTERNAL "),
    BadAnswer("reset-in-a-message", half_and_reset, "INTERNAL "),
    BadAnswer("reset-refused", reset(7), UNREACHABLE, repeated=True),
    BadAnswer("reset-cancel", reset(8), "CANCELLED ", counts=False),
    BadAnswer("reset-enhance-your-calm", reset(11), "RESOURCE_EXHAUSTED ", counts=False),
    BadAnswer("goaway-below-the-call", goaway_below, UNREACHABLE, repeated=True),
    BadAnswer("connection-cut", cut, UNREACHABLE, repeated=True),
    BadAnswer("connection-broken", broken_frame, "UNKNOWN "),
    BadAnswer("no-status", status(None), "UNKNOWN "),
    BadAnswer("status-99", status("99"), "UNKNOWN "),
    BadAnswer("status-abc", status("abc"), "INTERNAL "),
    BadAnswer("status-negative", status("-1"), "INTERNAL "),
    BadAnswer("status-cancelled", status("1"), "CANCELLED ", counts=False),
    BadAnswer("details-no-base64", status("5", grpc_status_details_bin="!!!!"), "INTERNAL "),
    BadAnswer("details-no-status", status("5", grpc_status_details_bin="/////w"), "NOT_FOUND ", counts=False),
    BadAnswer("message-no-utf8", status("5", grpc_message="%ff%zz%"), "NOT_FOUND ", counts=False),
    BadAnswer("push-back-abc", status("14", grpc_retry_pushback_ms="abc"), "INTERNAL "),
    BadAnswer("http-503", http("503", "text/html"), UNREACHABLE, repeated=True),
    BadAnswer("http-404", http("404", "text/html"), "UNIMPLEMENTED ", counts=False),
    BadAnswer("http-401", http("401", "application/json"), "UNAUTHENTICATED ", counts=False),
    BadAnswer("http-500", http("500", ""), "UNKNOWN "),
    BadAnswer("http-200-text-html", http("200", "text/html", PAGE), "UNKNOWN "),
    BadAnswer("huge-headers", body(prefixed(b""), x_huge="a" * HUGE_BYTES), "RESOURCE_EXHAUSTED ", counts=False),
    BadAnswer("huge-trailers", status("0", x_huge="a" * HUGE_BYTES), "RESOURCE_EXHAUSTED ", counts=False),
    BadAnswer("garbage", body(prefixed(b"\xff\xff\xff\xff")), UNREADABLE),
    BadAnswer("cut-message", body(prefixed(b"\x0a\x7fabc")), UNREADABLE),
    BadAnswer("too-long", body(prefixed(LONG)), "RESOURCE_EXHAUSTED ", counts=False),
    BadAnswer("lying-length", lying_length, "RESOURCE_EXHAUSTED ", counts=False),
    BadAnswer("zip-bomb", body(prefixed(gzip.compress(LONG), compressed=1), grpc_encoding="gzip"),
              "RESOURCE_EXHAUSTED ", counts=False),
    BadAnswer("no-gzip", body(prefixed(b"abc", compressed=1), grpc_encoding="gzip"), "INTERNAL "),
    BadAnswer("compressed-by-nobody", body(prefixed(b"abc", compressed=1)), "INTERNAL "),
    BadAnswer("unknown-encoding", body(prefixed(b"abc", compressed=1), grpc_encoding="snappy"), "INTERNAL "),
    BadAnswer("half-a-message", half, EXPIRED, hangs=True),
    BadAnswer("silence", silence, EXPIRED, hangs=True),
    BadAnswer("data-after-the-end", after_the_end, "OK"),
    # As grpcio 1.85 has it: the messages are fine, so a wrong name of what they are is let pass.
    BadAnswer("content-type-text", body(prefixed(b""), content_type="text/html"), "OK"),
)  # fmt: skip
"""All of them."""
