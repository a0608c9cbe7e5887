"""Servers of their own process, and load that no server slows down: calls begin when they are due."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.interceptors.client_call import error_of
from trunkline.launcher.ports import free_port

from tests.shop.running import clean_environment
from tests.shop.waiting import until_true

ROOT = Path(__file__).parents[3]
START_S, END_S = 60.0, 20.0
TIMEOUT_S = 30.0
"""What callers give the calls of a load: a server that let them wait would be found out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call went."""

    due_s: float
    """When it was due, from the beginning of the load."""
    took_s: float
    """How long it took."""
    reason: str
    """Why it was refused; empty if it went well."""
    retry_after_s: float
    """What it was told to wait; 0 if nothing."""


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[str]:
    """A server as long as the block lasts; gives its address. Its journal is `folder/journal`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = clean_environment(
        TRUNKLINE_PROFILE="test", TRUNKLINE_DRAIN_WAIT_S=0, TRUNKLINE_DRAIN_S=1, TRUNKLINE_VAR_DIR=folder,
        OVERLOAD_PORT=port, OVERLOAD_JOURNAL=folder / "journal", **settings,
    )  # fmt: skip
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.overload.program"],
            cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        until_true(lambda: _serves(process, folder), lambda: (folder / "log").read_text(), START_S)
        yield f"127.0.0.1:{port}"
        process.terminate()
        assert process.wait(END_S) == 0, (folder / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _serves(process: subprocess.Popen[bytes], folder: Path) -> bool:
    assert process.poll() is None, (folder / "log").read_text()
    return '"serving"' in (folder / "log").read_text()


def begun(folder: Path, value: str) -> list[float]:
    """When handlers began with pings of a value, by the server's own clock."""
    lines = (folder / "journal").read_text().splitlines()
    return [float(at) for at, said in (line.split(" ", 1) for line in lines) if said == value]


class Strangers:
    """Callers without our client chain, so that nobody throttles or repeats; each with a connection of its own."""

    def __init__(self, address: str, token: str = "user", connections: int = 4) -> None:
        own = (("grpc.use_local_subchannel_pool", 1),)
        self._channels = [grpc.aio.insecure_channel(address, options=own) for _ in range(connections)]
        self._pings: list[Any] = [pb_grpc.PingServiceStub(channel) for channel in self._channels]
        self._effects: list[Any] = [pb_grpc.EffectServiceStub(channel) for channel in self._channels]
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(one.Ping(pb.PingRequest(), timeout=TIMEOUT_S) for one in self._pings))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def at_once(self, calls: int, value: str) -> list[Outcome]:
        """So many pings at once."""
        began = time.monotonic()
        return await asyncio.gather(*(self._ping(number, value, began) for number in range(calls)))

    async def load(self, per_s: float, seconds: float, value: str) -> list[Outcome]:
        """So many pings a second."""
        began, tasks = time.monotonic(), []
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            tasks.append(asyncio.create_task(self._ping(number, value, began)))
        return await asyncio.gather(*tasks)

    async def adds(self, per_s: float, seconds: float) -> list[Outcome]:
        """So many changes a second, each with its token."""
        began, tasks = time.monotonic(), []
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            stub = self._effects[number % len(self._effects)]
            call = stub.Add(pb.AddRequest(), metadata=self._metadata, timeout=TIMEOUT_S)
            tasks.append(asyncio.create_task(_outcome(call, began)))
        return await asyncio.gather(*tasks)

    async def _ping(self, number: int, value: str, began: float) -> Outcome:
        call = self._pings[number % len(self._pings)].Ping(pb.PingRequest(value=value), timeout=TIMEOUT_S)
        return await _outcome(call, began)


async def _outcome(call: Any, began: float) -> Outcome:
    at = time.monotonic()
    reason, retry_after_s = "", 0.0
    try:
        await call
    except grpc.aio.AioRpcError as error:
        refused = error_of(error)
        reason, retry_after_s = refused.reason or refused.code.name, refused.retry_after_s or 0.0
    return Outcome(at - began, time.monotonic() - at, reason, retry_after_s)


def good(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that went well."""
    return [one for one in outcomes if not one.reason]


def refused(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that did not."""
    return [one for one in outcomes if one.reason]


def quantile(outcomes: Sequence[Outcome], share: float) -> float:
    """Seconds that a share of them did not exceed."""
    times = sorted(one.took_s for one in outcomes)
    return times[min(len(times) - 1, int(share * len(times)))]
