"""Load from processes of their own: h2load for the most that a server does, our own for more than it can."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc

from bench.scaling.process import Running

CONNECTIONS = 64
"""Connections of h2load, one call at a time on each: enough to be spread evenly over workers by the kernel's dice."""
WARM_S, LOAD_S = 1, 2
"""Seconds before h2load counts, and for which it does. Not a number of calls: each connection would get its share of
them, and the worker with more connections would be waited for."""
CALLERS = 8
"""Connections of our own load: one carries 128 calls, the others would wait in the client."""
DEADLINE_S = 1.0
"""Seconds after which an answer is worth nothing."""
_RATE = re.compile(r"finished in [^,]*, ([0-9.]+) req/s")


class NotInstalled(Exception):
    """h2load cannot be had."""


async def h2load(server: Running) -> float:
    """Calls a second of a server with as many callers as connections; each must have been answered.

    Raises:
        NotInstalled: there is no h2load.
    """
    program = shutil.which("h2load")
    if program is None:
        raise NotInstalled("h2load is missing: apt-get install nghttp2-client")
    message = pb.PingRequest(value="v").SerializeToString()
    before = server.ended()
    with TemporaryDirectory(prefix="bench-") as folder:
        body = Path(folder) / "body"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        process = await asyncio.create_subprocess_exec(
            program, "-D", str(LOAD_S), f"--warm-up-time={WARM_S}", "-c", str(CONNECTIONS), "-m", "1", "-t", "1",
            "-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers",
            f"http://{server.address}/trunk.testing.v1.PingService/Ping",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await process.communicate()
    found, ended = _RATE.search(told.decode()), server.ended()
    answered, others = ended.answered - before.answered, ended.others - before.others
    # In the end h2load leaves the calls that are under way.
    if found is None or answered < float(found[1]) * LOAD_S - CONNECTIONS or others > CONNECTIONS:
        raise RuntimeError(f"{answered} calls were answered, {others} were not:\n{told.decode()}")
    return float(found[1])


async def offered(address: str, rate: float, seconds: float) -> dict[str, int]:
    """What becomes of calls that are made at a rate, whether or not those before them have ended: by code.

    Runs in a process of its own, without our client chain: what is measured is the server.
    """
    command = [sys.executable, "-m", "bench.scaling.load", address, str(rate), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    found: dict[str, int] = json.loads(told)
    return found


async def offer(address: str, rate: float, seconds: float) -> Counter[str]:
    """Makes calls at a rate for some seconds; counts how they end. An answer after the deadline is none."""
    ends: Counter[str] = Counter()
    own = [("grpc.use_local_subchannel_pool", 1)]  # a connection each
    async with AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(address, options=own) for _ in range(CALLERS)]
        for channel in channels:
            await stack.enter_async_context(channel)
            await channel.channel_ready()
        pings: list[Any] = [pb_grpc.PingServiceStub(channel).Ping for channel in channels]

        async def call(number: int) -> None:
            try:
                await pings[number % CALLERS](pb.PingRequest(value="v"), timeout=DEADLINE_S)
                ends["OK"] += 1
            except grpc.aio.AioRpcError as error:
                ends[error.code().name] += 1

        tasks: set[asyncio.Task[None]] = set()
        began, made = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            while made < (now - began) * rate:
                task = asyncio.create_task(call(made))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                made += 1
            await asyncio.sleep(0.005)
        if tasks:
            await asyncio.wait(tasks)
    ends["made"] = made
    return ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    asked = parser.parse_args()
    print(json.dumps(asyncio.run(offer(asked.address, asked.rate, asked.seconds))))
