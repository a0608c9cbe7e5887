"""The bench as a process of its own, `python -m trunkline.testing.ping_program`: PingService on PING_PORT."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.process import run
from trunkline.service import Service
from trunkline.settings import ServiceSettings, refuse
from trunkline.testing.ping import PingServicer, Reached


class PingSettings(ServiceSettings, env_prefix="PING_"):
    """Settings of the program."""

    refuse: str = ""
    """What it refuses to start with; empty: it starts."""


async def build(node: Node[PingSettings]) -> Service:
    """Makes the service."""
    if node.settings.refuse:
        refuse([node.settings.refuse])
    return Service(name="ping", servicers=[PingServicer(Reached())])


if __name__ == "__main__":
    run("ping", PingSettings, build)
