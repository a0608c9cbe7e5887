"""Watching a topic: what is published on its channel, from now on. Whoever needs every event is a consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from google.protobuf.message import DecodeError
from trunk.event.v1 import envelope_pb2

from trunkline.events.streams.link import Link, RedisUnavailable
from trunkline.events.streams.outage import Outage


async def tail(
    redis_url: str,
    *topics: str,
    listening: Callable[[], None] = lambda: None,
    away: Callable[[Exception], None] = lambda _: None,
) -> AsyncGenerator[envelope_pb2.Envelope, None]:
    """Envelopes of some topics as they are published, for ever. While Redis is away, those published are missed.

    The channels show the events of all tenants.

    Args:
        redis_url: where they are published.
        topics: what to watch.
        listening: called whenever listening has begun, also anew: before it, anything may have been missed.
        away: called with what is wrong whenever Redis does not answer.
    """
    outage = Outage("tail")
    link = Link(redis_url, name="tail")
    try:
        while True:
            try:
                await link.connect()
                outage.over()
                async with contextlib.aclosing(link.messages(topics)) as messages:
                    async for data in messages:
                        if data is None:
                            listening()
                            continue
                        envelope = _envelope(data)
                        if envelope is not None:
                            yield envelope
            except RedisUnavailable as error:
                away(error)
                await asyncio.sleep(outage.failed(error))
    finally:
        await link.close()


def _envelope(data: bytes) -> envelope_pb2.Envelope | None:
    try:
        return envelope_pb2.Envelope.FromString(data)
    except DecodeError:
        return None
