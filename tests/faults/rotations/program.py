"""An instance as a process of its own, `python -m tests.faults.rotations.program`: EffectService.Read on a free port.

It stands in the registry, and knows whoever the tests call a user.
"""

from __future__ import annotations

from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.node import Node
from trunkline.process import run
from trunkline.service import Service
from trunkline.settings import ServiceSettings

from tests.trunkline.interceptors.people import Verifier


class Settings(ServiceSettings, env_prefix="ROTATED_"):
    """Settings of the program."""


class Reads(pb_grpc.EffectServiceServicer):
    """Answers the one method that is called."""

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        """Answers at once."""
        return pb.ReadResponse(value=1)


def reads() -> Any:
    """The servicer; the generated class calls methods abstract that it need not have."""
    servicer: Any = Reads
    return servicer()


async def build(node: Node[Settings]) -> Service:
    """Makes the service."""
    return Service(name="rotated", servicers=[reads()], verifier=Verifier())


if __name__ == "__main__":
    run("rotated", Settings, build)
