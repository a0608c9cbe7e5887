"""What becomes of events, inside one transaction: positions, inbox rows, effects, parked events and dead letters."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from trunkline.call import acting, serving
from trunkline.events.consuming.aside import Aside, Failure
from trunkline.events.consuming.inbox import ATTEMPTS, Verdict, decide
from trunkline.events.consuming.ledger import Key, Ledger
from trunkline.events.event import Arrival, ConsumerTransaction
from trunkline.events.unreadable import WHY, explain
from trunkline.faultpoints import faultpoint
from trunkline.storage import Outbox, PlatformTables
from trunkline.storage.bulk import PendingRows
from trunkline.telemetry.event_traces import ConsumerTracer
from trunkline.telemetry.traces import TRACES

MISSING = "MISSING"
"""Reason of a hole: the event did not come in time."""
DEAD_LETTER = "DEAD_LETTER"
"""Reason of a hole: the event could not be applied."""


@dataclass(slots=True)
class Outcome:
    """What became of some events, once it is committed."""

    applied: list[Arrival] = field(default_factory=list)
    """Had their effect."""
    filled: int = 0
    """Of these, those that were passed over before."""
    duplicates: int = 0
    """Had had it before, or are parked already."""
    parked: list[Arrival] = field(default_factory=list)
    """Wait for their turn, or for another attempt."""
    dead: list[Arrival] = field(default_factory=list)
    """Became dead letters."""
    holes: int = 0
    """Numbers passed over."""
    moved: set[Key] = field(default_factory=set)
    """Keys that went on."""
    published: int = 0
    """Events that handlers published."""
    told: list[Callable[[], None]] = field(default_factory=list)
    """To be called after the commit: spans that end with it."""


class Applying:
    """Decides by number and does what was decided, for one group."""

    def __init__(self, tables: PlatformTables, group: str, version: str = "") -> None:
        self.aside = Aside(tables, group, version)
        """Parked events and dead letters."""
        self.ledger = Ledger(tables, group)
        """Positions, inbox and holes."""
        self._outbox = Outbox(tables, group)
        self._tracers: dict[str, ConsumerTracer] = {}

    def apply(
        self,
        connection: sa.Connection,
        arrivals: Collection[Arrival],
        now: datetime,
        *,
        parked_keys: Collection[Key],
        tried: bool = False,
    ) -> Outcome:
        """Applies events in their order. One that fails undoes all.

        Args:
            connection: Of the transaction.
            arrivals: The events.
            now: The instant of the transaction.
            parked_keys: At least the keys that have parked events.
            tried: A process that has ended may have tried them: they are parked, to be tried alone and counted.
        """
        outcome, rows = Outcome(), PendingRows(connection)
        before = self._positions(connection, arrivals)
        last = dict(before)
        for arrival in arrivals:
            if arrival.envelope is None:
                self._bury(connection, arrival, outcome, now)
            elif not ((parked_keys or outcome.parked) and self._is_parked(connection, arrival, outcome, parked_keys)):
                self._apply_one(connection, rows, arrival, last, outcome, now, tried=tried)
        rows.flush()
        self.ledger.add_inbox(connection, outcome.applied, now)
        self._move(connection, before, last, outcome, now)
        return outcome

    def set_aside(
        self, connection: sa.Connection, arrival: Arrival, error: str, now: datetime, *, retry_time: datetime
    ) -> Outcome:
        """Parks an event that failed alone until retry_time, or makes it a dead letter if that was the last attempt."""
        failure = Failure(error, arrival.attempts + 1, now)
        if failure.attempts >= ATTEMPTS:
            return self._give_up(connection, arrival, failure)
        if arrival.entry is not None and not self.aside.is_parked(connection, arrival):
            self.aside.park(connection, arrival, now)
        self.aside.postpone(connection, arrival, failure, retry_time)
        return Outcome(parked=[arrival])

    def give_up(self, connection: sa.Connection, arrival: Arrival, error: str, now: datetime) -> Outcome:
        """Makes an event a dead letter that was tried as often as is tried, each time by a process that ended."""
        return self._give_up(connection, arrival, Failure(error, arrival.attempts, now))

    def pass_over(self, connection: sa.Connection, key: Key, missing: range, now: datetime) -> Outcome:
        """Records numbers that did not come as holes, and lets the key go on. Does nothing if they came."""
        before = self.ledger.positions(connection, {key})
        outcome = Outcome()
        if before.get(key, 0) + 1 == missing.start:
            self.ledger.open_holes(connection, key, missing, MISSING, now)
            outcome.holes = len(missing)
            self._move(connection, before, {key: missing.stop - 1}, outcome, now)
        return outcome

    def _give_up(self, connection: sa.Connection, arrival: Arrival, failure: Failure) -> Outcome:
        outcome = Outcome()
        before = self._positions(connection, [arrival])
        last = dict(before)
        verdict = self._verdict(connection, arrival, last)
        first_time = self.aside.first_failure(connection, arrival) or failure.now
        self.aside.take(connection, arrival)
        if verdict is not Verdict.DUPLICATE:
            self.aside.bury(connection, arrival, failure, first_time)
            outcome.dead.append(arrival)
        if verdict is Verdict.APPLY:
            self._skip(connection, arrival, last, outcome, failure.now)
        self._move(connection, before, last, outcome, failure.now)
        return outcome

    def _apply_one(
        self,
        connection: sa.Connection,
        rows: PendingRows,
        arrival: Arrival,
        last: dict[Key, int],
        outcome: Outcome,
        now: datetime,
        *,
        tried: bool,
    ) -> None:
        verdict = self._verdict(connection, arrival, last)
        if verdict is Verdict.PARK or (tried and verdict is not Verdict.DUPLICATE and not arrival.refusal):
            if arrival.entry is not None:
                self.aside.park(connection, arrival, now, attempts=int(tried))
                outcome.parked.append(arrival)
            return
        if arrival.entry is None:
            self.aside.take(connection, arrival)
        if verdict is Verdict.DUPLICATE:
            outcome.duplicates += 1
        elif arrival.refusal:
            self._bury(connection, arrival, outcome, now)
            if verdict is Verdict.APPLY:
                self._skip(connection, arrival, last, outcome, now)
        else:
            self._effect(connection, rows, arrival, outcome, now)
            if verdict is Verdict.FILL:
                self.ledger.close_hole(connection, arrival.key, arrival.number, now)
                self.aside.close_letter(connection, arrival, now)
                outcome.filled += 1
            else:
                last[arrival.key] = arrival.number

    def _effect(
        self, connection: sa.Connection, rows: PendingRows, arrival: Arrival, outcome: Outcome, now: datetime
    ) -> None:
        assert arrival.event is not None
        assert arrival.handler is not None
        envelope, trace = arrival.event.envelope, None
        traceparent, tenant_id = envelope.traceparent, envelope.tenant_id
        if traceparent:
            tracer = self._tracers.get(arrival.topic) or self._tracers.setdefault(
                arrival.topic, TRACES.consumer(arrival.topic)
            )
            traceparent, trace = tracer.begin(traceparent, envelope.id, envelope.call_traceparent)
        call = acting(tenant_id, method=f"consume/{envelope.type}", request_id=envelope.request_id, trace=traceparent)
        transaction = ConsumerTransaction(rows, connection, self._outbox, now, call)
        try:
            with serving(call):
                faultpoint("consumer.before_effect")
                arrival.handler(transaction, arrival.event)
                faultpoint("consumer.after_effect")
        except BaseException:
            if trace is not None:
                trace.ended("failed", tenant_id=tenant_id)
            raise
        if trace is not None:
            trace.applied()
            outcome.told.append(partial(trace.ended, tenant_id=tenant_id))
        if transaction.published:
            outcome.told.append(transaction.committed)
            outcome.published += transaction.published
        outcome.applied.append(arrival)

    def _bury(self, connection: sa.Connection, arrival: Arrival, outcome: Outcome, now: datetime) -> None:
        error = explain(arrival.envelope, WHY[arrival.refusal])
        self.aside.bury(connection, arrival, Failure(error, 1, now), now)
        outcome.dead.append(arrival)

    def _skip(
        self, connection: sa.Connection, arrival: Arrival, last: dict[Key, int], outcome: Outcome, now: datetime
    ) -> None:
        self.ledger.open_holes(connection, arrival.key, [arrival.number], DEAD_LETTER, now)
        last[arrival.key] = arrival.number
        outcome.holes += 1

    def _is_parked(
        self, connection: sa.Connection, arrival: Arrival, outcome: Outcome, parked_keys: Collection[Key]
    ) -> bool:
        """Whether an event from a stream is parked already: then the parked one is tried when it is its turn."""
        if arrival.entry is None:
            return False
        perhaps = arrival.key in parked_keys or any(one.key == arrival.key for one in outcome.parked)
        if not perhaps or not self.aside.is_parked(connection, arrival):
            return False
        outcome.duplicates += 1
        return True

    def _verdict(self, connection: sa.Connection, arrival: Arrival, last: dict[Key, int]) -> Verdict:
        key, number = arrival.key, arrival.number
        reached = last.get(key, 0)
        return decide(number, last=reached, hole_open=lambda: self.ledger.hole_open(connection, key, number))

    def _positions(self, connection: sa.Connection, arrivals: Collection[Arrival]) -> dict[Key, int]:
        keys = {arrival.key for arrival in arrivals if arrival.envelope is not None}
        return self.ledger.positions(connection, keys) if keys else {}

    def _move(
        self,
        connection: sa.Connection,
        before: dict[Key, int],
        after: dict[Key, int],
        outcome: Outcome,
        now: datetime,
    ) -> None:
        moved = {key: number for key, number in after.items() if before.get(key) != number}
        self.ledger.move(connection, moved, now)
        outcome.moved.update(moved)
