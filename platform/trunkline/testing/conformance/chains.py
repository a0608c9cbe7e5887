"""The chains that are tried: each link with no more beside it than it needs to work, and all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from trunkline.client import CLIENT_ORDER
from trunkline.interceptors.host import Maker as ServerMaker
from trunkline.interceptors.peer import Maker as ClientMaker
from trunkline.server import SERVER_ORDER
from trunkline.testing.conformance.rpcs import SHAPES

M = TypeVar("M")
CLIENT_NEEDS = frozenset({"deadline"})
"""Without it an attempt has no time at all."""
SERVER_NEEDS = frozenset({"errors", "validation"})
"""Failures reach the caller by the one, requests the handler by the other."""
IDENTITY = frozenset({"authentication", "authorization", "rate_limit"})
"""Links of the server that look at who calls: they need a caller with a token."""
EVERYTHING = (*SHAPES, "Hedged", "HedgedMany", "Cached", "Once", "Add")
"""All rpcs of the cases: those of PingService, and one for each contract that declares more."""
_BESIDE = {
    "authorization": {"authentication"},
    "rate_limit": {"authentication"},
    "concurrency": {"telemetry"},  # it counts the calls that run
    "idempotency": {"telemetry"},  # it makes the call the current one: whoever stores the answer asks for that
}
_RPCS = {
    "cache": ("Cached", *SHAPES[1:]),
    "retry": (*SHAPES, "Once", "Add"),
    "server.idempotency": ("Add", *SHAPES[1:]),
}


@dataclass(frozen=True, slots=True)
class Chain:
    """The links of both sides, and what is called through them."""

    name: str
    """The link that is tried; of the server's with `server.` before it; `full` for all."""
    client: tuple[ClientMaker, ...]
    """Links of the client, outermost first."""
    server: tuple[ServerMaker, ...]
    """Links of the server, outermost first."""
    rpcs: tuple[str, ...] = SHAPES
    """Names of the rpcs."""
    half_open: bool = False
    """The call is the probe of a breaker that was open."""


def chains(extra_client: tuple[ClientMaker, ...] = (), extra_server: tuple[ServerMaker, ...] = ()) -> Iterator[Chain]:
    """The chains that are tried.

    Args:
        extra_client: further links of the client; only these are then tried alone. They stand innermost, where
            attempts pass.
        extra_server: of the server; innermost too, round the handler.
    """
    client = (*CLIENT_ORDER[:-1], *extra_client, *CLIENT_ORDER[-1:])
    server = (*SERVER_ORDER, *extra_server)
    alone = bool(extra_client or extra_server)
    for link in extra_client if alone else CLIENT_ORDER:
        yield from _of_client(named(link), client, server)
    for served in extra_server if alone else SERVER_ORDER:
        yield _of_server(named(served), client, server)
    yield Chain("full", client, server, EVERYTHING)


def _of_client(name: str, client: tuple[ClientMaker, ...], server: tuple[ServerMaker, ...]) -> Iterator[Chain]:
    links = _only(client, {name, *CLIENT_NEEDS}), _only(server, SERVER_NEEDS)
    yield Chain(name, *links, _RPCS.get(name, SHAPES))
    if name == "retry":
        yield Chain("hedging", *links, ("Hedged", "HedgedMany"))
    if name == "breaker":
        yield Chain("half-open", *links, half_open=True)


def _of_server(name: str, client: tuple[ClientMaker, ...], server: tuple[ServerMaker, ...]) -> Chain:
    beside = SERVER_NEEDS | _BESIDE.get(name, set())
    sent = CLIENT_NEEDS | ({"credentials"} if name in IDENTITY else set())
    told = f"server.{name}"
    return Chain(told, _only(client, sent), _only(server, {name, *beside}), _RPCS.get(told, SHAPES))


def named(link: object) -> str:
    """What a link is called: the name of the function that makes it."""
    return str(getattr(link, "__name__", repr(link)))


def names(links: Iterable[object]) -> frozenset[str]:
    """What links are called."""
    return frozenset(named(link) for link in links)


def _only(links: tuple[M, ...], wanted: Iterable[str]) -> tuple[M, ...]:
    return tuple(link for link in links if named(link) in set(wanted))
