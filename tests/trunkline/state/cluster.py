"""A Redis Cluster of two nodes without replicas, on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from trunkline.launcher.embedded import server_command
from trunkline.launcher.ports import free_port

from tests.shop.waiting import until

HOST = "127.0.0.1"
OLDEST = (7, 0)
"""Servers before it cannot be told a port for their bus."""
SLOTS = 16384


class ClusterNode:
    """One of them."""

    def __init__(self, folder: Path) -> None:
        self.port, self.bus = free_port(), free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self.client: Any = Redis(host=HOST, port=self.port)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Starts it, on what it had."""
        self._process = self._spawn()
        await until(self._answers, "the node answers", 10.0)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._folder.mkdir(exist_ok=True)
        command = server_command(self.port, self._folder, persistent=True)
        command += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus), "--cluster-node-timeout", "2000"]
        # Otherwise all of it stops when one node is gone.
        command += ["--cluster-require-full-coverage", "no"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def _answers(self) -> bool:
        try:
            return bool(await self.client.ping())
        except RedisError:
            return False


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[list[ClusterNode]]:
    """Two nodes that know each other, each with half of the slots."""
    nodes = [ClusterNode(folder / f"node-{number}") for number in range(2)]
    async with AsyncExitStack() as stack:
        for number, node in enumerate(nodes):
            stack.callback(node.kill)
            stack.push_async_callback(node.client.aclose)
            await node.start()
            half = SLOTS // len(nodes)
            await node.client.execute_command("CLUSTER ADDSLOTSRANGE", number * half, (number + 1) * half - 1)
        await nodes[0].client.execute_command("CLUSTER MEET", HOST, nodes[1].port, nodes[1].bus)
        for node in nodes:
            await until(partial(_knows_all, node), "the cluster is whole")
        yield nodes


async def _knows_all(node: ClusterNode) -> bool:
    info = await node.client.execute_command("CLUSTER INFO")
    return bool(info.get("cluster_state") == "ok" and info.get("cluster_slots_ok") == str(SLOTS))
