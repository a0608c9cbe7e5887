"""A service as its own process, `python -m tests.faults.lifecycle.program`, run as every service is: by `run()`.

Without LIFE_KEEPS=1 it keeps nothing, and may have workers.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.node import Node
from trunkline.process import run
from trunkline.service import Service
from trunkline.settings import ServiceSettings

from tests.faults.calls.books import METADATA, PLATFORM
from tests.faults.calls.journal import JournalWriter
from tests.faults.calls.servicers import Effects, Pings, World
from tests.trunkline.interceptors.people import Verifier

BLOCK, EAT = "block=", "eat="
"""What the value of a ping begins with that holds the event loop up for so many seconds, or takes so many megabytes."""
_eaten: list[bytes] = []


class LifeSettings(ServiceSettings, env_prefix="LIFE_"):
    """Settings of the program."""

    folder: Path
    """Where its journal is."""
    keeps: bool = False
    """Whether it keeps effects, in a database file of its own."""


class Blocking(Pings):
    """The bench's, noted; and one that does what no handler should."""

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Answers once."""
        if request.value.startswith(BLOCK):
            time.sleep(float(request.value.removeprefix(BLOCK)))  # noqa: ASYNC251 - the fault
        self._world.journal.note("peer", context.peer())
        if request.value.startswith(EAT):
            _eaten.append(b"\1" * (int(request.value.removeprefix(EAT)) << 20))
        return await super().Ping(request, context)


async def build(node: Node[LifeSettings]) -> Service:
    """Makes the service."""
    journal = JournalWriter(node.settings.folder / "journal")
    if not node.settings.keeps:
        nothing: Any = None
        return Service(name="life", servicers=[Blocking(World(journal, nothing))])
    storage = await node.open_storage(METADATA, PLATFORM)
    world = World(journal, storage.unit)
    return node.service(storage, servicers=[Blocking(world), Effects(world)], verifier=Verifier())


if __name__ == "__main__":
    run("life", LifeSettings, build)
