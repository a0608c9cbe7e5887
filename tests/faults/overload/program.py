"""A server for overload, `python -m tests.faults.overload.program`: pings that compute, wait, or both.

A ping's value says how: `work 2` computes for 2 ms, `wait 50` waits for 50. When each was begun stands in a file.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, TextIO

from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.node import Node
from trunkline.process import run
from trunkline.service import Service
from trunkline.settings import ServiceSettings
from trunkline.testing.ping import PingServicer, Reached

from tests.trunkline.interceptors.people import Verifier
from tests.trunkline.interceptors.servicers import Effects

_ROUNDS = 200_000


class OverloadSettings(ServiceSettings, env_prefix="OVERLOAD_"):
    """Settings of the program."""

    journal: Path
    """Where it writes the instant (monotonic) and the value of each ping that is begun."""


def rounds_per_ms() -> float:
    """How many rounds of a loop the processor makes in a millisecond, undisturbed."""
    best = 1.0
    for _ in range(5):
        began = time.thread_time()
        for _ in range(_ROUNDS):
            pass
        best = min(best, time.thread_time() - began)
    return _ROUNDS / best / 1000


class Pings(PingServicer):
    """Computes and waits."""

    def __init__(self, journal: TextIO) -> None:
        super().__init__(Reached())
        self._journal = journal
        self._per_ms = rounds_per_ms()

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """As the value says."""
        self._journal.write(f"{time.monotonic():.6f} {request.value}\n")
        words = request.value.split()
        for what, amount in zip(words[::2], words[1::2], strict=False):
            if what == "work":
                for _ in range(int(float(amount) * self._per_ms)):
                    pass
            elif what == "wait":
                await asyncio.sleep(float(amount) / 1000)
        return pb.PingResponse(value=request.value)


async def build(node: Node[OverloadSettings]) -> Service:
    """Makes the service."""
    journal = node.settings.journal.open("a", buffering=1)

    async def close() -> None:
        journal.close()

    return Service(name="ping", servicers=[Pings(journal), Effects()], verifier=Verifier(), close=[close])


if __name__ == "__main__":
    run("ping", OverloadSettings, build)
