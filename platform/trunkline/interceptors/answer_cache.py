"""Answers of the last hour in shared state, in front of the database, which stays the truth.

Only calls that say they are repeats are looked up here: a first call finds nothing, and would pay for looking. What is
not found, not readable or not of this request is asked of the database, so that nothing here decides anything.
"""

from __future__ import annotations

from datetime import datetime

from trunkline.call import IdempotencyContext
from trunkline.errors import ServiceError
from trunkline.state.store import StateStore
from trunkline.state.write_behind import WriteBehind
from trunkline.storage.answer_seal import SEALED_FOR
from trunkline.storage.answers import AnswerStore

LONGEST_BYTES = 64 * 1024
"""Longer answers are not kept here."""


class AnswerCache:
    """The answers of a service, those of the last hour beside the database too."""

    def __init__(self, answers: AnswerStore, state: StateStore) -> None:
        self._answers = answers
        self._state = state
        self.writing = WriteBehind(state, SEALED_FOR.total_seconds())
        """Keeps answers there."""

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
        self.writing.put(self._answers.name(context), self._answers.sealed(context, answer, create_time))

    async def close(self) -> None:
        """What still waits is not kept."""
        await self.writing.close()
        await self._state.close()

    async def _kept(self, context: IdempotencyContext) -> bytes | None:
        try:
            found = await self._state.get(self._answers.name(context))
        except ServiceError:
            return None  # the database knows
        return self._answers.opened(context, found.value) if found is not None else None
