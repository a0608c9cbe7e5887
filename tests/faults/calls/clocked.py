"""A caller whose wall clock is set while its breaker is open, `python -m tests.faults.calls.clocked …` (A19).

It prints by how much the clock jumped, how long the breaker stayed open, what a call was told meanwhile, and how the
breaker stands at the end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
from trunkline.errors import ServiceError

from tests.faults.calls.calling import calling, repeated

OPEN_S = 0.6
PING = "/trunk.testing.v1.PingService/Ping"


def set_clock(stamp: Path, hours: int) -> None:
    """Tells libfaketime how far ahead the wall clock is."""
    stamp.write_text(f"{hours:+}h")


async def told(call: Awaitable[Any]) -> str:
    """Reason of a call's failure; empty if it went well."""
    try:
        await call
    except ServiceError as error:
        return error.reason
    return ""


async def main(target: str, key: str, stamp: str, hours: str) -> None:
    """Opens the breaker, sets the clock, and waits until a call passes."""
    async with calling(target, breaker_open_s=OPEN_S) as caller:
        for number in range(5):
            await told(caller.ping(f"{key}-{number}", fail_with=repeated(grpc.StatusCode.INTERNAL)))
        opened, before = time.monotonic(), time.time()
        set_clock(Path(stamp), int(hours))
        refused = await told(caller.ping(key))
        while await told(caller.ping(key)):  # noqa: ASYNC110 - what is waited for is the breaker's time
            await asyncio.sleep(0.01)
        open_s = time.monotonic() - opened
        print(time.time() - before, open_s, refused, caller.channel.peer.breakers[PING].state.name)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
