"""The cases of connectrpc/conformance in which a client breaks the rules, by name, against our server.

Its `known-failing` list is kept here as strict expected failures: those of gRPC's core that no Python server can mend.
One that passes some day fails its test, and is to be taken off the list.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest
from trunk.testing.v1 import interop_service_pb2 as pb
from trunkline.testing.bad_connection import prefixed

from tests.faults.interop.clients import client
from tests.faults.interop.raw_request import raw_request
from tests.faults.interop.serving import served

SERVICE = "/trunk.testing.v1.InteropService"
EMPTY = prefixed(b"")
WITHIN_S = 10.0
UNKNOWN, INVALID_ARGUMENT, UNIMPLEMENTED, INTERNAL = "grpc 2", "grpc 3", "grpc 12", "grpc 13"
RESET = "reset 2"
"""INTERNAL_ERROR of HTTP/2, which a client of gRPC tells as INTERNAL."""


@dataclass(frozen=True, slots=True)
class Unexpected:
    """One request that breaks the rules."""

    name: str
    """As conformance names it."""
    allowed: tuple[str, ...]
    """How it may end."""
    path: str = f"{SERVICE}/Give"
    """What is called."""
    body: bytes = EMPTY
    """What stands where messages should stand."""
    headers: dict[str, str] = field(default_factory=dict)
    """Those that are other than usual."""


CASES = (
    # Ours says what is wrong with the request. Conformance wants UNIMPLEMENTED, as if there were no such method.
    Unexpected("unary/no-request", (INVALID_ARGUMENT,), body=b""),
    Unexpected("server-stream/no-request", (INVALID_ARGUMENT,), f"{SERVICE}/GiveMany", b""),
    Unexpected("unary/incomplete-message", (INVALID_ARGUMENT,), body=struct.pack(">BI", 0, 10) + bytes(3)),
    Unexpected("unary/incomplete-message-prefix", (INVALID_ARGUMENT,), body=bytes(3)),
    Unexpected("unexpected-verb", (UNKNOWN, INTERNAL, UNIMPLEMENTED, RESET), headers={"METHOD": "DELETE"}),
    Unexpected("unexpected-verb/get", (UNKNOWN, INTERNAL, UNIMPLEMENTED, RESET), headers={"METHOD": "GET"}),
    Unexpected("unexpected-verb/put", (UNKNOWN, INTERNAL, UNIMPLEMENTED, RESET), headers={"METHOD": "PUT"}),
    Unexpected("unexpected-uri", (UNIMPLEMENTED,), "/trunk.testing.v1.UnknownService/UnknownMethod"),
    Unexpected("unexpected-uri/method", (UNIMPLEMENTED,), f"{SERVICE}/UnknownMethod"),
    Unexpected("unexpected-uri/query", (UNIMPLEMENTED,), f"{SERVICE}/Give?x=1"),
    # Conformance wants UNIMPLEMENTED of an encoding that the server does not know; core does not read on that far.
    Unexpected("unexpected-compression", (INTERNAL,), body=prefixed(b"abc", compressed=1),
               headers={"grpc-encoding": "foo"}),
    Unexpected("unexpected-compressed-message", (INTERNAL,), body=prefixed(b"", compressed=1),
               headers={"grpc-encoding": "identity"}),
    Unexpected("unexpected-compressed-message/no-gzip", (INTERNAL,), body=prefixed(b"abc", compressed=1),
               headers={"grpc-encoding": "gzip"}),
)  # fmt: skip
KNOWN_FAILING = (
    (Unexpected("unary/multiple-requests", (UNIMPLEMENTED, INVALID_ARGUMENT), body=EMPTY * 2),
     "the first request is served before the second has come; grpc-go and grpcio do the same"),
    (Unexpected("server-stream/multiple-requests", (UNIMPLEMENTED, INVALID_ARGUMENT), f"{SERVICE}/GiveMany", EMPTY * 2),
     "as above"),
    (Unexpected("client-stream/incomplete-message", (INTERNAL, INVALID_ARGUMENT), f"{SERVICE}/Take",
                struct.pack(">BI", 0, 10) + bytes(3)),
     "core gives the end of the stream, and drops what had begun"),
    (Unexpected("client-stream/incomplete-message-prefix", (INTERNAL, INVALID_ARGUMENT), f"{SERVICE}/Take", bytes(3)),
     "as above"),
    (Unexpected("unexpected-codec", (UNKNOWN, INTERNAL, UNIMPLEMENTED),
                headers={"content-type": "application/grpc+foo"}),
     "core does not look, and tells nobody; the bytes are read as protobuf"),
    (Unexpected("unexpected-content-type", (UNKNOWN, INTERNAL, "http 415"), headers={"content-type": "text/html"}),
     "as above"),
)  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(case, id=case.name) for case in CASES),
        *(
            pytest.param(case, id=case.name, marks=pytest.mark.xfail(reason=reason, strict=True))
            for case, reason in KNOWN_FAILING
        ),
    ],
)
async def test_unexpected_requests(case):
    """C12, C13, C14: a request that breaks the rules ends, in time, with a status that says so; no handler begins."""
    async with served() as (server, echo), client("aio", server.port) as other:
        found = await raw_request(server.port, case.path, case.body, WITHIN_S, **case.headers)
        began = echo.began.total()
        # Whatever it was, the server goes on.
        assert (await other.call("Give", pb.GiveRequest())).answers
        assert (found.told in case.allowed, began) == (True, 0)
        assert "trunk" not in found.metadata.get("grpc-message", "")


async def test_the_rules():
    """The same request, sent as it should be, is served: it is the one thing that is wrong that is refused."""
    async with served() as (server, echo):
        found = await raw_request(server.port, f"{SERVICE}/Give", EMPTY, WITHIN_S)
        assert (found.told, echo.began["Give"]) == ("grpc 0", 1)
