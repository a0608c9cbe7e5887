"""A unary call through both full chains against bare grpc.aio: `python -m bench.calls`."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.auth.tokens import Claims, TokenSigner
from trunkline.call import Principal
from trunkline.telemetry.logs import configure_logs
from trunkline.testing.ping import bench

from bench.report import ratio, show, write

ROUNDS = 9
CALLS = 400
CALLERS = 16
Call = Callable[[], Awaitable[Any]]


class BareServicer(pb_grpc.EffectServiceServicer):
    """The same answer without anything round it."""

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:  # noqa: N802
        """Answers at once."""
        return pb.ReadResponse(value=1)


def bare_servicer() -> pb_grpc.EffectServiceServicer:
    """A servicer of the one method that is measured; the others answer UNIMPLEMENTED."""
    servicer: Any = BareServicer
    made: pb_grpc.EffectServiceServicer = servicer()
    return made


class FixedCredential:
    """A token that does not expire during the measurement."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        """The token."""
        return self._token


@asynccontextmanager
async def bare() -> AsyncIterator[Call]:
    """A call on grpc.aio as it comes."""
    server = grpc.aio.server()
    pb_grpc.add_EffectServiceServicer_to_server(bare_servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = pb_grpc.EffectServiceStub(channel)
        yield lambda: stub.Read(pb.ReadRequest())
    await server.stop(None)


class KnownVerifier:
    """Verified tokens come from memory, as in a running service."""

    def __init__(self, principal: Principal) -> None:
        self._known = {principal.token: principal}

    async def verify(self, token: str) -> Principal:
        """The principal of the one token there is."""
        return self._known[token]


@asynccontextmanager
async def full() -> AsyncIterator[Call]:
    """The same call through both chains, with a token and its scope checked."""
    signer = TokenSigner("bench", Ed25519PrivateKey.generate(), "trunkline")
    scopes = frozenset({"bench.read"})
    claims = Claims(kind="user", subject="bench", credential_id="bench", tenant_id="bench", scopes=scopes)
    token = signer.sign(claims, audience="trunkline").token
    principal = Principal("user", "bench", "bench", scopes, token=token)
    service = {"verifier": KnownVerifier(principal)}
    async with bench(servicers=[bare_servicer()], service=service, credential=FixedCredential(token)) as running:
        stub: Any = pb_grpc.EffectServiceStub(running.channel)
        yield lambda: stub.Read(pb.ReadRequest())


async def p50(call: Call) -> float:
    """Median seconds of a call, one caller."""
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        await call()
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


async def rate(call: Call) -> float:
    """Calls a second of many callers."""

    async def caller() -> None:
        for _ in range(CALLS // CALLERS):
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return (CALLS // CALLERS) * CALLERS / (time.perf_counter() - started)


def _figure(name: str, value: float) -> str:
    return f"{value:.0f} calls/s" if name.endswith("_rate") else f"{value * 1e6:.0f} µs"


async def main() -> None:
    """Measures, prints and keeps."""
    configure_logs("bench", "error")
    rounds: dict[str, list[float]] = {
        name: [] for name in ("bare", "again", "full", "bare_rate", "again_rate", "full_rate")
    }
    async with bare() as one, bare() as two, full() as ours:
        for call in (one, two, ours):
            await p50(call)
        for _ in range(ROUNDS):
            for name, call in (("bare", one), ("full", ours), ("again", two)):
                rounds[name].append(await p50(call))
                rounds[f"{name}_rate"].append(await rate(call))
    ratios = [
        ratio("chain_p50", rounds["full"], "bare grpc.aio", rounds["bare"], goal=1.10, better="lower"),
        ratio("chain_rate_16", rounds["full_rate"], "bare grpc.aio", rounds["bare_rate"], goal=0.92, better="higher"),
        ratio("noise_p50", rounds["again"], "bare grpc.aio", rounds["bare"], goal=None, better="lower"),
        ratio("noise_rate_16", rounds["again_rate"], "bare grpc.aio", rounds["bare_rate"], goal=None, better="higher"),
    ]
    figures = [(name, _figure(name, statistics.median(values))) for name, values in rounds.items()]
    show("a unary call, client and server in one process", ratios, figures)
    write("calls", ratios)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
