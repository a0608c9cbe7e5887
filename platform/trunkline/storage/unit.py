"""The unit of work: idempotency key, effect, events and answer in one transaction, or none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar, cast

import sqlalchemy as sa
from google.protobuf.message import Message

from trunkline.call import IdempotencyContext, InboundCall, current_call
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.faultpoints import faultpoint
from trunkline.method import method_of
from trunkline.storage.answers import AnswerStore
from trunkline.storage.database import Database
from trunkline.storage.outbox import EVENT_LIMIT_BYTES, Outbox
from trunkline.storage.tables import PlatformTables
from trunkline.telemetry.event_traces import PublishTrace

M = TypeVar("M", bound=Message)
Answered = Callable[[IdempotencyContext, bytes, datetime], None]
"""Is told of an answer that is committed, and since when it is."""


class Transaction:
    """What work may use. It ends with the work."""

    def __init__(self, connection: sa.Connection, outbox: Outbox, now: datetime, call: InboundCall | None) -> None:
        self._connection = connection
        self.now = now
        """The instant of the unit, one for all its rows."""
        self.published = 0
        """Events published so far."""
        self._traces: list[tuple[PublishTrace, str]] = []
        self._outbox = outbox
        self._call = call

    @property
    def connection(self) -> sa.Connection:
        """Connection of the transaction; work neither commits nor rolls back."""
        return self._connection

    def publish(self, message: Message, *, key: str, subject: str, tenant_id: str | None = None) -> int:
        """Publishes message on its topic, if and only if the unit commits; gives its number in (topic, key).

        Args:
            message: The payload; its type names the topic by the option `(trunk.event.v1.topic)`.
            key: What order is kept by: `tenant/store/terminal`.
            subject: Resource the event is about.
            tenant_id: Tenant it belongs to; that of the current call where it is not given.

        Raises:
            ValueError: there is no tenant, or the topic is not this service's, or key is of another tenant.
            ServiceError: INVALID_ARGUMENT / EVENT_TOO_LARGE.
        """
        tenant = self._call.tenant_id if tenant_id is None and self._call is not None else tenant_id
        if not tenant:
            raise ValueError("an event belongs to a tenant")
        number, trace = self._outbox.append(
            self.connection,
            message,
            key=key,
            subject=subject,
            tenant_id=tenant,
            now=self.now,
            request_id=self._call.request_id if self._call is not None else "",
            traceparent=self._call.trace if self._call is not None else "",
        )
        self.published += 1
        if trace is not None:
            self._traces.append((trace, tenant))
        return number

    def foresee(self, message: Message) -> None:
        """Refuses a change after which message, as it grows to twice its length, could not be published any more.

        Raises:
            ServiceError: INVALID_ARGUMENT / EVENT_TOO_LARGE.
        """
        self._outbox.foresee(message)

    def committed(self) -> None:
        """To be called after the commit, by whoever committed it: what was published is traced as published."""
        for trace, tenant in self._traces:
            trace.committed(tenant)


@dataclass(frozen=True, slots=True)
class _Done(Generic[M]):
    answer: M
    stored: bytes | None
    transaction: Transaction | None
    """None where the answer was stored before."""


class UnitOfWork:
    """Runs the mutating half of a handler."""

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        *,
        source: str,
        secret_file: Path,
        clock: Clock = SYSTEM_CLOCK,
        wake: Callable[[], None] | None = None,
        answered: Answered | None = None,
        event_limit_bytes: int = EVENT_LIMIT_BYTES,
    ) -> None:
        """Puts the parts together.

        Args:
            database: Where everything is committed.
            tables: The library's tables in it.
            source: The service; it publishes the topics whose publisher it is.
            secret_file: Makes fingerprints and seals answers; made if it is not there.
            clock: Stamps the rows.
            wake: Called on the event loop after a commit with events: the relay need not poll.
            answered: Called on the event loop after a commit with an answer.
            event_limit_bytes: Longest event that it publishes.
        """
        self.answers = AnswerStore(database, tables, secret_file=secret_file, clock=clock)
        """The answers it stores; the server's chain looks them up."""
        self._database = database
        self._outbox = Outbox(tables, source, limit_bytes=event_limit_bytes)
        self._clock = clock
        self._wake = wake
        self.answered = answered
        """Called on the event loop after a commit with an answer."""

    async def run(self, work: Callable[[Transaction], M]) -> M:
        """Commits what work does, with the key and the answer of the current call if it has a key.

        Where the key has been answered already, work is not run, and that answer is given.

        Args:
            work: A plain function of the transaction that awaits nothing and can be repeated. Everything it decides
                by is read inside it. An exception it raises undoes it.

        Raises:
            ServiceError: IDEMPOTENCY_KEY_REUSED, ANSWER_EXPIRED or STORAGE_UNAVAILABLE of domain trunk; or what the
                handler has ended its call with already.
            RuntimeError: the call has already run a unit: its answer is given.
        """
        call = current_call()
        if call is not None and call.failure is not None:
            raise call.failure
        context = call.idempotency if call is not None else None
        if context is not None and context.answer is not None:
            raise RuntimeError("a call runs one unit of work: its answer is stored with it")

        def unit(connection: sa.Connection) -> _Done[M]:
            return self._once(connection, work, call, context)

        def committed(done: _Done[M]) -> None:
            if context is not None:
                context.answer = done.stored
                if self.answered is not None and done.stored is not None and done.transaction is not None:
                    self.answered(context, done.stored, done.transaction.now)
            if done.transaction is None or not done.transaction.published:
                return
            faultpoint("outbox.after_commit")
            done.transaction.committed()
            if self._wake is not None:
                self._wake()

        return (await self._database.write(unit, committed=committed)).answer

    def _once(
        self,
        connection: sa.Connection,
        work: Callable[[Transaction], M],
        call: InboundCall | None,
        context: IdempotencyContext | None,
    ) -> _Done[M]:
        if call is not None and call.failure is not None:
            raise call.failure  # it was ended while this waited for its turn
        if context is not None:
            stored = self.answers.stored(connection, context)
            if stored is not None:
                # Only the method's own response is ever stored under its name.
                replayed = cast("M", method_of(context.method).response_type.FromString(stored))
                return _Done(replayed, stored, None)
        transaction = Transaction(connection, self._outbox, self._clock.now(), call)
        answer = work(transaction)
        stored = None
        if context is not None:
            stored = answer.SerializeToString()
            self.answers.keep(connection, context, stored, transaction.now)
        if transaction.published:
            faultpoint("outbox.before_commit")
        return _Done(answer, stored, transaction)
