"""A server as a process of its own, `python -m bench.scaling.program`: Ping takes BURN_MS of CPU."""

from __future__ import annotations

import time
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.node import Node
from trunkline.process import run
from trunkline.service import Service
from trunkline.settings import ServiceSettings
from trunkline.testing.ping import PingServicer, Reached


class BurnSettings(ServiceSettings, env_prefix="BURN_"):
    """Settings of the program."""

    ms: float = 0.0
    """Milliseconds of CPU that a Ping takes."""


class Burning(PingServicer):
    """Works for as long as it is set."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Reached())
        self._seconds = seconds

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:  # noqa: N802
        """Answers after its work."""
        until = time.thread_time() + self._seconds
        while time.thread_time() < until:
            pass
        return pb.PingResponse(value=request.value)


async def build(node: Node[BurnSettings]) -> Service:
    """Makes the service."""
    return Service(name="ping", servicers=[Burning(node.settings.ms / 1000)])


if __name__ == "__main__":
    run("ping", BurnSettings, build)
