"""FastStream on the same Redis, consuming only: no inbox, no order, no number; it acknowledges what it was given."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from importlib.util import find_spec

NEEDED = "faststream is not installed: make .venv/.bench"
STREAM = "rival"


def installed() -> bool:
    """Whether it can be measured."""
    return find_spec("faststream") is not None


async def consume(url: str, payloads: Sequence[bytes], count_at_once: int) -> float:
    """Puts events into a stream as its broker does, then has it consume them; gives the seconds that took."""
    from faststream.redis import RedisBroker, StreamSub

    broker = RedisBroker(url, logger=logging.getLogger("bench.rival"), log_level=logging.DEBUG)
    done, left = asyncio.Event(), len(payloads)
    sub = StreamSub(STREAM, group="bench", consumer="one", max_records=count_at_once, last_id=">")

    @broker.subscriber(stream=sub)
    async def handle(_: bytes) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    async with broker:
        for payload in payloads:
            await broker.publish(payload, stream=STREAM)
        started = time.perf_counter()
        await broker.start()
        await done.wait()
        return time.perf_counter() - started
