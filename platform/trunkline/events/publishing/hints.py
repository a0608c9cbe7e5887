"""Hints between the processes of one publisher: who commits tells who relays, which otherwise looks once a second.

A hint that is lost costs that second, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from trunkline.events.pause import pause
from trunkline.events.streams.link import Link, RedisUnavailable

AGAIN_S = 1.0
"""Seconds until a listener that lost its connection, or a teller without one, tries again."""


def channel_of(source: str) -> str:
    """Channel of a publisher's hints. No topic has such a name."""
    return f"{source}:wake"


class Hints:
    """One process's ear for hints, and its voice."""

    def __init__(self, redis_url: str, source: str, heard: Callable[[bool], None]) -> None:
        """Describes both; heard is called on the event loop for each hint, and with False when listening has begun."""
        self._channel = channel_of(source)
        self._heard = heard
        self._listening = Link(redis_url, name=f"{source}-hints")
        self._telling = Link(redis_url, name=f"{source}-hints")
        self._connected = False

    async def run(self, stop: asyncio.Event) -> None:
        """Listens until stop is set."""
        try:
            while not stop.is_set():
                try:
                    await self._listen()
                except RedisUnavailable:
                    await pause(AGAIN_S, stop)
        finally:
            await self._listening.close()
            await self._telling.close()

    async def tell(self) -> None:
        """Says that something was committed. Where Redis is away nobody hears it."""
        try:
            if not self._connected:
                await self._telling.connect()
                self._connected = True
            await self._telling.ask([("PUBLISH", self._channel, b"")])
        except RedisUnavailable:
            self._connected = False

    async def _listen(self) -> None:
        await self._listening.connect()
        async with aclosing(self._listening.messages([self._channel])) as messages:
            async for hint in messages:
                self._heard(hint is not None)
