"""Stored answers: what a repeated call gets instead of a second effect."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import sqlalchemy as sa
import structlog

from trunkline.call import IdempotencyContext, current_call
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError, platform_error
from trunkline.storage.answer_seal import SEALED_FOR, AnswerSeal
from trunkline.storage.bulk import Prepared
from trunkline.storage.database import Database
from trunkline.storage.secret import Secret
from trunkline.storage.tables import PlatformTables

KEPT_FOR = timedelta(days=7)
"""How long a key is remembered, and every other answer replayed."""
EXPIRE_EVERY_S = 600.0
"""Seconds between two rounds of forgetting."""
EXPIRE_CHUNK = 100
"""Answers forgotten in one unit, so that calls do not wait for it."""

_log = structlog.get_logger("trunkline.storage")


class AnswerStore:
    """The answers of one service, by (tenant, method, key); calls without a tenant by their subject instead."""

    def __init__(
        self, database: Database, tables: PlatformTables, *, secret_file: Path, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._database = database
        self._clock = clock
        self._secret = Secret(secret_file)
        self._seal = AnswerSeal(self._secret)
        table = self._table = tables.idempotency_answer
        self._insert = sa.insert(table)
        self._dropped = _Ending(table, tables.secret_answers, sa.update(table).values(answer=sa.null()))
        self._forgotten = _Ending(table, sa.true(), sa.delete(table))
        self._select = sa.select(table.c.fingerprint, table.c.answer, table.c.sealed, table.c.create_time).where(
            *(column == sa.bindparam(f"_{column.name}") for column in table.primary_key)
        )

    def fingerprint(self, canonical: bytes) -> bytes:
        """HMAC-SHA256 of a request under this service's secret.

        Args:
            canonical: The request in its one form: serialized with `deterministic=True`, not as it came.
        """
        return self._secret.sign(canonical)

    async def find(self, context: IdempotencyContext) -> bytes | None:
        """The stored answer to a call, or None if it has none yet.

        Raises:
            ServiceError: INVALID_ARGUMENT / IDEMPOTENCY_KEY_REUSED, FAILED_PRECONDITION / ANSWER_EXPIRED.
        """
        return await self._database.read(lambda connection: self.stored(connection, context))

    def stored(self, connection: sa.Connection, context: IdempotencyContext) -> bytes | None:
        """As find, inside a transaction."""
        row = connection.execute(self._select, {f"_{name}": value for name, value in _key(context).items()}).first()
        if row is None:
            return None
        if not hmac.compare_digest(row.fingerprint, context.fingerprint):
            raise platform_error(
                grpc.StatusCode.INVALID_ARGUMENT,
                "IDEMPOTENCY_KEY_REUSED",
                "the idempotency key was used with another request",
            )
        if not row.sealed:
            answer: bytes = row.answer
            return answer
        opened = self._open(row.answer, row.create_time, context)
        if opened is None:
            raise platform_error(
                grpc.StatusCode.FAILED_PRECONDITION,
                "ANSWER_EXPIRED",
                "the call was done; its answer held a secret and was dropped",
            )
        return opened

    def keep(self, connection: sa.Connection, context: IdempotencyContext, answer: bytes, now: datetime) -> None:
        """Stores the answer to a call, in the transaction of its effect."""
        stored = self._secret.seal(answer, _bound_to(context)) if context.secret else answer
        values = {
            **_key(context),
            "fingerprint": context.fingerprint,
            "answer": stored,
            "sealed": context.secret,
            "create_time": now,
        }
        connection.execute(self._insert, values)

    def name(self, context: IdempotencyContext) -> str:
        """Where the answer to a call may be kept beside the database."""
        return self._seal.name(_bound_to(context))

    def sealed(self, context: IdempotencyContext, answer: bytes, create_time: datetime) -> bytes:
        """An answer as it may be kept there."""
        return self._seal.seal(context, _bound_to(context), answer, create_time)

    def opened(self, context: IdempotencyContext, sealed: bytes) -> bytes | None:
        """The answer that was kept there; None: only the database can tell."""
        return self._seal.open(context, _bound_to(context), sealed, self._clock.now())

    async def expire(self, now: datetime | None = None) -> int:
        """Drops sealed answers that are too old, and forgets keys that are; says how many it found of both."""
        at = now or self._clock.now()
        dropped = await self._in_chunks(self._dropped, at - SEALED_FOR)
        return dropped + await self._in_chunks(self._forgotten, at - KEPT_FOR)

    async def expire_until(self, stop: asyncio.Event) -> None:
        """Expires regularly; a background task of the service."""
        while not stop.is_set():
            try:
                await self.expire()
            except ServiceError as error:
                # Housekeeping must not end a service whose reads still work: the next round comes.
                _log.warning("stored answers were not expired", error=error.message)
            try:
                await asyncio.wait_for(stop.wait(), EXPIRE_EVERY_S)
            except TimeoutError:
                continue

    async def _in_chunks(self, ending: _Ending, until: datetime) -> int:
        # They are looked for beside the writer, which has only those to change that were found.
        total = 0
        while found := await self._database.read(partial(ending.find, until)):
            await self._database.write(partial(ending.change, found))
            total += len(found)
        return total

    def _open(self, sealed: bytes | None, create_time: datetime, context: IdempotencyContext) -> bytes | None:
        if sealed is None or create_time <= self._clock.now() - SEALED_FOR:
            return None
        return self._secret.open(sealed, _bound_to(context))


class _Ending:
    """What becomes of some answers when they are old."""

    def __init__(self, table: sa.Table, which: sa.ColumnElement[bool], change: sa.Update | sa.Delete) -> None:
        columns = (*table.primary_key, table.c.create_time)
        until = sa.bindparam("_until", type_=table.c.create_time.type)
        old = sa.select(*columns).where(which, table.c.create_time <= until)
        self._find = old.order_by(table.c.create_time).limit(EXPIRE_CHUNK)
        # By its time, too: a key that was forgotten meanwhile may be another call's by now.
        one = change.where(*(column == sa.bindparam(f"_{column.name}", type_=column.type) for column in columns))
        self._change = Prepared([f"_{column.name}" for column in columns], lambda _: one)

    def find(self, until: datetime, connection: sa.Connection) -> Sequence[sa.Row[Any]]:
        """The oldest of those that are as old as that."""
        return connection.execute(self._find, {"_until": until}).all()

    def change(self, found: Sequence[sa.Row[Any]], connection: sa.Connection) -> None:
        """Changes what was found, each by its key."""
        self._change.run(connection, list(zip(*found, strict=True)))


def _key(context: IdempotencyContext) -> dict[str, str]:
    return {
        "tenant_id": context.tenant_id,
        "subject": "" if context.tenant_id else _subject(),
        "method": context.method,
        "key": context.key,
    }


def _subject() -> str:
    call = current_call()
    return call.principal.subject if call is not None and call.principal is not None else ""


def _bound_to(context: IdempotencyContext) -> bytes:
    # A sealed answer moved to another row must not open there.
    return "\n".join(_key(context).values()).encode()
