"""Events to their effects: in batches, split where one fails; and what was parked, when its turn comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
import structlog

from trunkline.clock import SET_S, Clock, ahead_s
from trunkline.events.consuming.applying import Applying, Outcome
from trunkline.events.consuming.counts import ConsumerCounts, tell_times
from trunkline.events.consuming.failure import describe
from trunkline.events.consuming.inbox import ATTEMPTS, Plan, plan, retry_time
from trunkline.events.consuming.ledger import Key
from trunkline.events.consuming.ownership import Ownership
from trunkline.events.consuming.resuming import Resuming
from trunkline.events.event import Arrival, Decoder
from trunkline.events.shard import Shard
from trunkline.events.streams.outage import storage_away
from trunkline.events.unreadable import UNKNOWN_VALUE, Unreadable, explain
from trunkline.faultpoints import faultpoint
from trunkline.storage import Database
from trunkline.storage.leases import LeaseLost

BATCH = 256
"""Events applied in one transaction, or holes recorded in one."""
T = TypeVar("T")
ENDED = "the process ended while it was applied"
"""Error of a dead letter that nobody lived to tell of."""
_log = structlog.get_logger("trunkline.events")


class Settling:
    """Brings events to their effect, for one group and the shards that are this process's."""

    def __init__(
        self,
        database: Database,
        applying: Applying,
        decoder: Decoder,
        ownership: Ownership,
        clock: Clock,
        *,
        wake: Callable[[], None] | None = None,
        missing: Callable[[Key, range], None] = lambda _key, _numbers: None,
    ) -> None:
        """Puts the parts together.

        Args:
            database: Where effects are.
            applying: Does what is decided, in a transaction.
            decoder: Reads events.
            ownership: Whose the shards are.
            clock: Stamps rows, and measures patience.
            wake: Called after a commit in which a handler published.
            missing: Told which numbers a key waits for, whenever it is found waiting.
        """
        self.counts = ConsumerCounts()
        """For metrics."""
        self._database = database
        self._applying = applying
        self._decoder = decoder
        self._ownership = ownership
        self._resuming = Resuming(database, applying.aside, decoder, ownership)
        self._clock = clock
        self._wake = wake
        self._missing = missing
        self._parked: dict[Key, datetime | None] = {}
        self._marks: dict[Key, Hashable] = {}
        self._patient_since = clock.now()
        self._ahead_s = ahead_s(clock)

    async def begin(self) -> None:
        """Begins after a start or an outage, or with other shards: finds what is parked, and is patient anew.

        What an earlier release could not read is tried again where this one can.
        """
        self._patient_since = self._clock.now()
        self._parked, self._marks = {}, {}
        await self._resume_unreadable()
        await self.look()

    async def look(self) -> None:
        """Finds what others have parked: events that were missing, and such that are to be tried again."""
        marks = await self._database.read(self._applying.aside.keys)
        owned = {key: mark for key, mark in marks.items() if self._ownership.owns_key(*key)}
        now = self._clock.now()
        for key, mark in owned.items():
            if self._marks.get(key) != mark:
                self._parked[key] = now
        self._marks = owned

    async def settle(
        self, arrivals: Sequence[Arrival], *, tried: bool = False, meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Has something become of every event, in their order.

        Args:
            arrivals: The events.
            tried: They were given to a process that has ended, which may have tried them.
            meanwhile: Called on the event loop while they are being committed: there is time then. Perhaps not called.

        Raises:
            LeaseLost: they are another process's now.
            ServiceError: the database is away; nothing is known to have become of them.
        """
        now = self._clock.now()
        try:
            outcome = await self._write(
                self._shards(arrivals),
                lambda connection: self._applying.apply(
                    connection, arrivals, now, parked_keys=self._parked, tried=tried
                ),
                meanwhile,
            )
        except LeaseLost:
            raise
        except Exception as error:
            if storage_away(error):
                raise
            if len(arrivals) == 1:
                if isinstance(error, Unreadable):
                    await self._refuse(arrivals[0], error)
                else:
                    await self._set_aside(arrivals[0], describe(error))
                return
            middle = len(arrivals) // 2
            await self.settle(arrivals[:middle], tried=tried)
            await self.settle(arrivals[middle:], tried=tried)
        else:
            self._note(outcome, now)

    async def settle_parked(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Has something become of the parked events whose time has come, until it is enough: the others stay due.

        Raises:
            ServiceError: the database is away.
        """
        now = self._clock.now()
        self._mind_the_clock(now)
        for key in [key for key, due in self._parked.items() if due is not None and due <= now]:
            if enough():
                return
            await self._settle_key(key, enough)

    def next_due(self) -> datetime | None:
        """When settle_parked has something to do; None if only what comes can change that."""
        return min((due for due in self._parked.values() if due is not None), default=None)

    def _mind_the_clock(self, now: datetime) -> None:
        """Begins to wait anew where the clock was set: patience is measured, and times that were noted mean nothing."""
        before, self._ahead_s = self._ahead_s, ahead_s(self._clock)
        if abs(self._ahead_s - before) > SET_S:
            self._patient_since = now
            self._parked = dict.fromkeys(self._parked, now)

    async def _settle_key(self, key: Key, enough: Callable[[], bool]) -> None:
        # Behind the others: the next time they are first.
        self._parked[key] = self._parked.pop(key)
        while not enough():
            now = self._clock.now()
            arrivals, planned = await self._plan(key, now)
            if planned.missing:
                await self._pass_over(key, planned.missing, now)
            elif planned.numbers:
                await self._try(key, [arrivals[number] for number in planned.numbers])
            elif arrivals:
                self._parked[key] = planned.due
                if planned.waits_for:
                    self._missing(key, planned.waits_for)
                return
            else:
                del self._parked[key]
                return

    async def _try(self, key: Key, arrivals: Sequence[Arrival]) -> None:
        """Applies parked events. That is counted before it begins: they may end the process."""
        now, shard = self._clock.now(), self._ownership.shard_of(*key)
        first = arrivals[0]
        if first.attempts >= ATTEMPTS:
            applying = self._applying
            outcome = await self._write([shard], lambda connection: applying.give_up(connection, first, ENDED, now))
            faultpoint("consumer.after_bury")
            self._note(outcome, now)
            return
        numbers = [arrival.number for arrival in arrivals]
        await self._write([shard], lambda connection: self._applying.aside.count(connection, key, numbers))
        faultpoint("consumer.after_count")
        await self.settle(arrivals)

    async def _resume_unreadable(self) -> None:
        events = 0
        async for arrivals in self._resuming.pages():
            now = self._clock.now()
            await self._write(
                self._shards(arrivals), partial(self._applying.aside.park_all, arrivals=arrivals, now=now)
            )
            events += len(arrivals)
        if events:
            _log.info("events that could not be read are tried again", events=events)

    async def _write(
        self, shards: Iterable[Shard], work: Callable[[sa.Connection], T], meanwhile: Callable[[], None] | None = None
    ) -> T:
        """A transaction on what is of some shards, if they are this process's."""
        loop = asyncio.get_running_loop()

        def checked(connection: sa.Connection) -> T:
            self._ownership.require(connection, shards)
            result = work(connection)
            if meanwhile is not None:
                loop.call_soon_threadsafe(meanwhile)
            return result

        return await self._database.write(checked)

    def _shards(self, arrivals: Iterable[Arrival]) -> set[Shard]:
        return {one.entry.shard if one.entry is not None else self._ownership.shard_of(*one.key) for one in arrivals}

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
        numbers = f"{missing[0]} to {missing[-1]}"
        _log.warning("numbers are missing; the key goes on", topic=key[0], key=key[1], numbers=numbers)

    async def _pass_over_part(self, key: Key, part: range, now: datetime) -> None:
        shard = self._ownership.shard_of(*key)
        self._note(
            await self._write([shard], lambda connection: self._applying.pass_over(connection, key, part, now)), now
        )

    async def _set_aside(self, arrival: Arrival, error: str) -> None:
        now = self._clock.now()
        again = retry_time(arrival.attempts + 1, now, random.uniform)
        outcome = await self._write(
            self._shards([arrival]),
            lambda connection: self._applying.set_aside(connection, arrival, error, now, retry_time=again),
        )
        faultpoint("consumer.after_bury" if outcome.dead else "consumer.after_park")
        _log.warning("an event was not applied", error=error, attempts=arrival.attempts + 1, **arrival.named)
        self._note(outcome, now)

    async def _refuse(self, arrival: Arrival, error: Unreadable) -> None:
        """Makes an event a dead letter whose handler cannot read it: another attempt of this release cannot either."""
        now = self._clock.now()
        refused = replace(arrival, refusal=UNKNOWN_VALUE, attempts=arrival.attempts + 1)
        text = explain(arrival.envelope, str(error))
        outcome = await self._write(
            self._shards([arrival]), lambda connection: self._applying.give_up(connection, refused, text, now)
        )
        faultpoint("consumer.after_bury")
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
        tell_times(outcome.applied, self._clock.now().timestamp())
        for arrival in outcome.dead:
            _log.error("an event is a dead letter", reason=arrival.refusal or "APPLY_FAILED", **arrival.named)
        for key in {arrival.key for arrival in outcome.parked} | (outcome.moved & self._parked.keys()):
            self._parked[key] = now
        if outcome.published and self._wake is not None:
            self._wake()
