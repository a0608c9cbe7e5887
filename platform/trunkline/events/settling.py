"""Events to their effects: in batches, split where one fails; and what was parked, when its turn comes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from trunkline.clock import SET_S, Clock, ahead_s
from trunkline.events.applying import Applying, Outcome
from trunkline.events.event import Arrival, Decoder
from trunkline.events.failure import describe
from trunkline.events.inbox import Plan, plan, retry_time
from trunkline.events.ledger import Key
from trunkline.events.outage import storage_away
from trunkline.storage import Database

BATCH = 256
"""Events applied in one transaction, or holes recorded in one."""
_log = structlog.get_logger("trunkline.events")


@dataclass(slots=True)
class ConsumerCounts:
    """What a consumer has done since it started."""

    applied: int = 0
    """Events that had their effect."""
    filled: int = 0
    """Of these, those that were passed over before."""
    duplicates: int = 0
    """Events that had had it before."""
    parked: int = 0
    """Times an event was parked: before its turn, or after a failed attempt."""
    dead: int = 0
    """Events that became dead letters."""
    holes: int = 0
    """Numbers that were passed over."""


class Settling:
    """Brings events to their effect, for one group."""

    def __init__(
        self, database: Database, applying: Applying, decoder: Decoder, clock: Clock, wake: Callable[[], None] | None
    ) -> None:
        self.counts = ConsumerCounts()
        """For metrics."""
        self._database = database
        self._applying = applying
        self._decoder = decoder
        self._clock = clock
        self._wake = wake
        self._parked: dict[Key, datetime | None] = {}
        self._patient_since = clock.now()
        self._ahead_s = ahead_s(clock)

    async def begin(self) -> None:
        """Begins after a start or an outage: finds what is parked, and waits for the missing ones anew."""
        self._patient_since = self._clock.now()
        keys = await self._database.read(self._applying.aside.keys)
        self._parked = dict.fromkeys(keys, self._patient_since)

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        """Has something become of every event, in their order.

        Raises:
            ServiceError: the database is away; nothing is known to have become of them.
        """
        now = self._clock.now()
        try:
            outcome = await self._database.write(
                lambda connection: self._applying.apply(connection, arrivals, now, parked_keys=self._parked)
            )
        except Exception as error:
            if storage_away(error):
                raise
            if len(arrivals) == 1:
                await self._set_aside(arrivals[0], describe(error))
                return
            middle = len(arrivals) // 2
            await self.settle(arrivals[:middle])
            await self.settle(arrivals[middle:])
        else:
            self._note(outcome, now)

    async def settle_parked(self) -> None:
        """Has something become of the parked events whose time has come.

        Raises:
            ServiceError: the database is away.
        """
        now = self._clock.now()
        self._mind_the_clock(now)
        for key in [key for key, due in self._parked.items() if due is not None and due <= now]:
            await self._settle_key(key)

    def next_due(self) -> datetime | None:
        """When settle_parked has something to do; None if only what comes can change that."""
        return min((due for due in self._parked.values() if due is not None), default=None)

    def _mind_the_clock(self, now: datetime) -> None:
        """Begins to wait anew where the clock was set: patience is measured, and times that were noted mean nothing."""
        before, self._ahead_s = self._ahead_s, ahead_s(self._clock)
        if abs(self._ahead_s - before) > SET_S:
            self._patient_since = now
            self._parked = dict.fromkeys(self._parked, now)

    async def _settle_key(self, key: Key) -> None:
        while True:
            now = self._clock.now()
            arrivals, planned = await self._plan(key, now)
            if planned.missing:
                await self._pass_over(key, planned.missing, now)
            elif planned.numbers:
                await self.settle([arrivals[number] for number in planned.numbers])
            elif arrivals:
                self._parked[key] = planned.due
                return
            else:
                del self._parked[key]
                return

    async def _plan(self, key: Key, now: datetime) -> tuple[dict[int, Arrival], Plan]:
        applying = self._applying
        last, parked = await self._database.read(
            lambda connection: (
                applying.ledger.positions(connection, {key}).get(key, 0),
                applying.aside.first(connection, key, BATCH),
            )
        )
        arrivals = {
            one.waiting.number: self._decoder.decode(key[0], one.data, attempts=one.waiting.attempts) for one in parked
        }
        waiting = [one.waiting for one in parked]
        return arrivals, plan(waiting, last=last, now=now, patient_since=self._patient_since)

    async def _pass_over(self, key: Key, missing: range, now: datetime) -> None:
        for start in range(missing.start, missing.stop, BATCH):
            await self._pass_over_part(key, range(start, min(start + BATCH, missing.stop)), now)
        _log.warning("numbers are missing; the key goes on", topic=key[0], key=key[1], numbers=_span(missing))

    async def _pass_over_part(self, key: Key, part: range, now: datetime) -> None:
        self._note(
            await self._database.write(lambda connection: self._applying.pass_over(connection, key, part, now)), now
        )

    async def _set_aside(self, arrival: Arrival, error: str) -> None:
        now = self._clock.now()
        again = retry_time(arrival.attempts + 1, now, random.uniform)
        outcome = await self._database.write(
            lambda connection: self._applying.set_aside(connection, arrival, error, now, retry_time=again)
        )
        _log.warning("an event was not applied", error=error, attempts=arrival.attempts + 1, **_named(arrival))
        self._note(outcome, now)

    def _note(self, outcome: Outcome, now: datetime) -> None:
        counts = self.counts
        counts.applied += len(outcome.applied)
        counts.filled += outcome.filled
        counts.duplicates += outcome.duplicates
        counts.parked += len(outcome.parked)
        counts.dead += len(outcome.dead)
        counts.holes += outcome.holes
        for told in outcome.told:
            told()
        for arrival in outcome.dead:
            _log.error("an event is a dead letter", reason=arrival.refusal or "APPLY_FAILED", **_named(arrival))
        for key in {arrival.key for arrival in outcome.parked} | (outcome.moved & self._parked.keys()):
            self._parked[key] = now
        if outcome.published and self._wake is not None:
            self._wake()


def _named(arrival: Arrival) -> dict[str, object]:
    if arrival.envelope is None:
        return {"topic": arrival.topic, "entry": str(arrival.entry.id) if arrival.entry is not None else ""}
    envelope = arrival.envelope
    return {"topic": arrival.topic, "key": envelope.key, "number": envelope.number, "type": envelope.type}


def _span(numbers: range) -> str:
    return f"{numbers.start} to {numbers.stop - 1}"
