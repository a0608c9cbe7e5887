"""Events make kept answers void: background work of a service that calls reads whose contract names topics."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from trunkline.events.pause import end
from trunkline.events.streams.tail import tail
from trunkline.interceptors.answers import KeptAnswers


class Invalidation:
    """Listens to the channels of the topics that kept answers depend on.

    A hint, not a promise: what is missed while Redis is away costs no more than the contract's `cache_ttl`, and
    whenever listening begins anew, every answer that depends on a topic is forgotten.
    """

    def __init__(self, redis_url: str, answers: Callable[[], Sequence[KeptAnswers]]) -> None:
        self._redis_url = redis_url
        self._answers = answers
        self.listening: frozenset[str] = frozenset()
        """Topics that are being listened to."""

    async def run(self, stop: asyncio.Event) -> None:
        """Listens until stop is set, to what topics there are by then: they are known when a read is first called."""
        changed = asyncio.Event()
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                for answers in self._answers():
                    answers.topics_changed = changed
                changed.clear()
                await self._until_changed(changed, stopping)
        finally:
            stopping.cancel()

    async def _until_changed(self, changed: asyncio.Event, stopping: asyncio.Task[bool]) -> None:
        topics = sorted({topic for answers in self._answers() for topic in answers.topics})
        work: list[asyncio.Task[Any]] = [asyncio.create_task(changed.wait())]
        if topics:
            work.append(asyncio.create_task(self._listen(topics)))
        try:
            done, _ = await asyncio.wait([*work, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done & set(work[1:]):
                task.result()
        finally:
            self.listening = frozenset()
            await end(work)

    async def _listen(self, topics: Sequence[str]) -> None:
        def begun() -> None:
            for topic in topics:
                self._forget(topic, "")
            self.listening = frozenset(topics)

        async with contextlib.aclosing(tail(self._redis_url, *topics, listening=begun)) as envelopes:
            async for envelope in envelopes:
                self._forget(envelope.topic, envelope.tenant_id)

    def _forget(self, topic: str, tenant_id: str) -> None:
        for answers in self._answers():
            answers.forget(topic, tenant_id)
