"""Servers in processes of their own, and what their metrics tell."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import grpc
from trunkline.launcher.ports import free_port
from trunkline.launcher.readiness import wait_serving

START_S, END_S = 30.0, 20.0
"""Seconds within which a server must serve, and be gone."""
_ENDED = re.compile(
    r'^grpc_server_call_duration_seconds_count\{grpc_method="[^"]*/Ping",grpc_status="([A-Z_]+)"[^}]*\} ([0-9.e+]+)$',
    re.MULTILINE,
)


class Ended(NamedTuple):
    """How pings have ended, all workers together."""

    answered: int
    """With OK."""
    others: int
    """In any other way."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server."""

    address: str
    """`host:port`."""
    metrics_port: int
    """Where its counts are read."""

    def ended(self) -> Ended:
        """How its pings have ended so far."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5).read().decode()
        return ended_in(text)


def ended_in(metrics: str) -> Ended:
    """How pings have ended, as the text of a metrics endpoint tells it."""
    counts = [(status, int(float(count))) for status, count in _ENDED.findall(metrics)]
    answered = sum(count for status, count in counts if status == "OK")
    return Ended(answered, sum(count for _, count in counts) - answered)


@asynccontextmanager
async def serving(module: str, **settings: object) -> AsyncIterator[Running]:
    """A server of a module, with settings of its environment; it is ended afterwards."""
    port, metrics_port = free_port(), free_port()
    told = {
        "TRUNKLINE_PROFILE": "test", "TRUNKLINE_LOG_LEVEL": "error", "TRUNKLINE_METRICS_PORT": metrics_port,
        "TRUNKLINE_DRAIN_WAIT_S": 0, "TRUNKLINE_DRAIN_S": 1, "PING_PORT": port, "BURN_PORT": port, **settings,
    }  # fmt: skip
    environment = {**os.environ, **{name: str(value) for name, value in told.items()}}  # noqa: TID251
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=environment, start_new_session=True
    )
    try:
        address = f"127.0.0.1:{port}"
        async with asyncio.timeout(START_S):
            await wait_serving(address)
        yield Running(address, metrics_port)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), END_S)


async def settled(running: Running, workers: int) -> None:
    """Returns when all workers serve: they begin one after the other, and share the port from then on."""
    async with asyncio.timeout(START_S):
        while _listening(running) < workers:  # noqa: ASYNC110 - of other processes nobody tells
            await asyncio.sleep(0.1)
    async with grpc.aio.insecure_channel(running.address) as channel:
        await channel.channel_ready()


def _listening(running: Running) -> int:
    """Sockets that listen on its port: one a worker."""
    port = f":{int(running.address.rpartition(':')[2]):04X}"
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    fields = [line.split() for table in tables for line in table]
    return sum(1 for one in fields if one[1].endswith(port) and one[3] == "0A")
