"""A server as hostile peers see it, a process of its own: `python -m tests.faults.hostile.target`.

The whole server chain, with a verifier. SIGUSR1 makes it write what it knows of itself (figures.json).
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.server import Server
from trunkline.service import Service
from trunkline.settings import PlatformSettings, ServiceSettings, load
from trunkline.telemetry.logs import configure_logs
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.ping import PingServicer, Reached
from trunkline.testing.tokens import TokenFactory


class TargetSettings(ServiceSettings, env_prefix="TARGET_"):
    """Settings of the program."""

    folder: Path
    """Where it writes its tokens and its figures."""


class Effects(pb_grpc.EffectServiceServicer):
    """Counts, for who has a token."""

    def __init__(self, calls: Counter[str]) -> None:
        self._calls = calls

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """The new value."""
        self._calls["Add"] += 1
        return pb.AddResponse(value=request.amount)

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        """Nothing was added."""
        return pb.ReadResponse()

    async def Reset(self, request: pb.ResetRequest, context: Any) -> pb.ResetResponse:
        """Nothing is set."""
        return pb.ResetResponse()

    async def MakeSecret(self, request: pb.MakeSecretRequest, context: Any) -> pb.MakeSecretResponse:
        """No secret."""
        return pb.MakeSecretResponse()


async def main(platform: PlatformSettings, settings: TargetSettings) -> None:
    """Serves until SIGTERM."""
    reached, tokens = Reached(), TokenFactory()
    service = Service(
        name="target",
        servicers=[PingServicer(reached), Effects(reached.calls)],
        verifier=tokens.verifier,
        close=[tokens.close],
    )
    server = Server([service], platform, port=settings.port)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.ended.set)
    numbers = iter(range(1, 1_000_000))

    def tell() -> None:
        figures = {
            "number": next(numbers),
            "tasks": len(asyncio.all_tasks()),
            "handled": reached.calls.total(),
            "cancelled": reached.cancelled.total(),
            "begun": sum(one.begun for one in METRICS.servers() if one.method.startswith("trunk.testing")),
            "running": sum(one.running for one in METRICS.servers()),
        }
        new = settings.folder / "figures.new"
        new.write_text(json.dumps(figures))
        new.rename(settings.folder / "figures.json")

    loop.add_signal_handler(signal.SIGUSR1, tell)
    (settings.folder / "tokens.json").write_text(json.dumps(_tokens(tokens)))
    async with server:
        tell()
        await server.ended.wait()


def _tokens(factory: TokenFactory) -> dict[str, str]:
    """A token of a user, and the longest of a user and of a service that can be made."""
    return {
        "user": factory.user(scopes=["bench.read"]).sign(),
        "long user": longest(lambda scopes: factory.user(scopes=scopes).sign()),
        "long service": longest(lambda scopes: factory.service(scopes=scopes).sign()),
    }


def longest(make: Any) -> str:
    """The longest token with so many scopes that one more would be refused."""
    token, size = "", 1
    while True:
        try:
            token = make(["s" * size])
        except ValueError:
            return token
        size += 1


if __name__ == "__main__":
    found_platform, found_settings = load(PlatformSettings, TargetSettings)
    assert isinstance(found_platform, PlatformSettings)
    assert isinstance(found_settings, TargetSettings)
    configure_logs("target", "info")
    asyncio.run(main(found_platform, found_settings))
