"""The call through our chains: both whole, or single policies of one side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.client import CLIENT_ORDER
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.interceptors.host import Maker as ServerMaker
from trunkline.interceptors.peer import Maker as ClientMaker
from trunkline.server import SERVER_ORDER
from trunkline.telemetry.traces import TRACES, configure_traces
from trunkline.testing.ping import bench

from bench.paths.bare import Call, read_servicer
from bench.paths.bearer import Bearer
from bench.paths.tracing import SAMPLED, Discarded

Way = Callable[[Bearer], AbstractAsyncContextManager[Call]]
"""Sets up one way of making the call."""
ALWAYS = tuple(maker for maker in CLIENT_ORDER if maker.__name__ == "deadline")
"""Policies of the client that no chain is without: what is sent needs a deadline."""
NEEDS: Mapping[str, tuple[str, ...]] = {"authorization": ("authentication",)}
"""Policies of the server that refuse every call unless others stand before them."""
SENDS_TOKEN = {"authentication", "authorization"}
"""Policies of the server that need a token; where they stand alone, the caller sends it without a policy."""


@asynccontextmanager
async def full(bearer: Bearer, *, clock: Clock = SYSTEM_CLOCK) -> AsyncIterator[Call]:
    """Both chains as services have them.

    The credential is a file's, the token is verified with its signature once and then known, its scope is checked
    with every call, calls are counted, and one in a hundred is traced.
    """
    service, credential = {"verifier": bearer.verifier(clock)}, bearer.credential(clock)
    with _traced():
        async with bench(servicers=[read_servicer()], service=service, credential=credential, clock=clock) as running:
            await _refuses_without_token(running.server.port)
            read: Any = pb_grpc.EffectServiceStub(running.channel).Read
            yield lambda: read(pb.ReadRequest())


@contextmanager
def _traced() -> Iterator[None]:
    configure_traces("bench", SAMPLED, exporter=Discarded())
    try:
        yield
    finally:
        TRACES.close()


async def _refuses_without_token(port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        read: Any = pb_grpc.EffectServiceStub(channel).Read
        try:
            await read(pb.ReadRequest())
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                return
            raise
    raise AssertionError("a call without a token was answered: no token is verified here")


@asynccontextmanager
async def some(
    bearer: Bearer, *, client: tuple[ClientMaker, ...] = (), server: tuple[ServerMaker, ...] = ()
) -> AsyncIterator[Call]:
    """The call through these policies only, outermost first; none at all leaves what carries them, and the deadline."""
    sends = SENDS_TOKEN & {maker.__name__ for maker in server}
    metadata = ((headers.AUTHORIZATION, f"Bearer {bearer.token}"),) if sends else None
    async with bench(
        servicers=[read_servicer()],
        service={"verifier": bearer.verifier()},
        credential=bearer.credential(),
        client_order=(*ALWAYS, *client),
        server_order=server,
    ) as running:
        read: Any = pb_grpc.EffectServiceStub(running.channel).Read
        yield lambda: read(pb.ReadRequest(), metadata=metadata)


def singles() -> dict[str, Way]:
    """Each policy alone on its side, by its name with its side before it."""
    ways: dict[str, Way] = {}
    for ours in CLIENT_ORDER:
        if ours not in ALWAYS:
            ways[f"client_{ours.__name__}"] = partial(some, client=(ours,))
    for theirs in SERVER_ORDER:
        before = [maker for maker in SERVER_ORDER if maker.__name__ in NEEDS.get(theirs.__name__, ())]
        ways[f"server_{theirs.__name__}"] = partial(some, server=(*before, theirs))
    return ways
