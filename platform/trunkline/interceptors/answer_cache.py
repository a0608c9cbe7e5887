"""Answers of the last hour in shared state, in front of the database, which stays the truth.

Only calls that say they are repeats are looked up here: a first call finds nothing, and would pay for looking. What is
not found, not readable or not of this request is asked of the database, so that nothing here decides anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime

from trunkline.call import IdempotencyContext
from trunkline.errors import ServiceError
from trunkline.state.store import StateStore
from trunkline.storage.answer_seal import SEALED_FOR
from trunkline.storage.answers import AnswerStore

WAITING = 1000
"""Answers that wait to be kept; beyond it the oldest are not kept."""
LONGEST_BYTES = 64 * 1024
"""Longer answers are not kept here."""


class AnswerCache:
    """The answers of a service, those of the last hour beside the database too."""

    def __init__(self, answers: AnswerStore, state: StateStore) -> None:
        self._answers = answers
        self._state = state
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=WAITING)
        self._work: asyncio.Task[None] | None = None

    def fingerprint(self, content: bytes) -> bytes:
        """As the answers in the database."""
        return self._answers.fingerprint(content)

    async def find(self, context: IdempotencyContext) -> bytes | None:
        """The stored answer to a call, or None if it has none yet; as the answers in the database.

        Raises:
            ServiceError: INVALID_ARGUMENT / IDEMPOTENCY_KEY_REUSED, FAILED_PRECONDITION / ANSWER_EXPIRED.
        """
        if context.repeat and context.tenant_id and (found := await self._kept(context)) is not None:
            return found
        return await self._answers.find(context)

    def keep(self, context: IdempotencyContext, answer: bytes, create_time: datetime) -> None:
        """Keeps an answer that is committed, soon and if that can be done; the caller does not wait."""
        if not context.tenant_id or len(answer) > LONGEST_BYTES:
            return  # calls without a tenant are few
        self._waiting.append((self._answers.name(context), self._answers.sealed(context, answer, create_time)))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._put())

    async def close(self) -> None:
        """What still waits is not kept."""
        self._waiting.clear()
        if self._work is not None:
            await asyncio.wait({self._work})
        await self._state.close()

    async def _kept(self, context: IdempotencyContext) -> bytes | None:
        try:
            found = await self._state.get(self._answers.name(context))
        except ServiceError:
            return None  # the database knows
        return self._answers.opened(context, found.value) if found is not None else None

    async def _put(self) -> None:
        while self._waiting:
            name, sealed = self._waiting.popleft()
            try:
                await self._state.put(name, sealed, ttl_s=SEALED_FOR.total_seconds())
            except ServiceError:
                # Kept or not: the next repeat asks the database. While Redis is away nothing is worth waiting.
                self._waiting.clear()
