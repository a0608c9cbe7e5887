"""A shadow: a database that holds only what events make, made again by the handlers of the service they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC

import sqlalchemy as sa

from trunkline.call import acting_for
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.events.consuming.applying import DEAD_LETTER, MISSING
from trunkline.events.consuming.aside import Aside, Failure
from trunkline.events.consuming.failure import describe
from trunkline.events.consuming.ledger import Key, Ledger
from trunkline.events.event import Arrival, ConsumerTransaction, Decoder, Handlers
from trunkline.events.rebuilding.places import Place
from trunkline.events.unreadable import WHY, Unreadable, explain
from trunkline.storage import Outbox, PlatformTables
from trunkline.storage.bulk import PendingRows

SHOWN = 20
"""Failures that are told one by one."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What of a service events make, and how."""

    group: str
    """The service."""
    metadata: sa.MetaData
    """Its tables."""
    platform: PlatformTables
    """The library's among them."""
    rebuildable: Sequence[sa.Table]
    """Those that hold nothing but effects of events."""
    handlers: Handlers
    """What has the effects."""


@dataclass(slots=True)
class ShadowCounts:
    """What was done to fill a shadow."""

    applied: int = 0
    """Events that had their effect."""
    missing: int = 0
    """Numbers that the publishers' logs do not hold."""
    failed: int = 0
    """Events that could not be read or applied."""
    failures: list[str] = field(default_factory=list)
    """The first of these."""


class Shadow:
    """Applies each event it is given once, in order per key. What handlers publish stays in it, and goes nowhere."""

    def __init__(self, place: Place, derived: Derived, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Makes it.

        Raises:
            RebuildRefused: there is one that somebody else works with.
        """
        self.counts = ShadowCounts()
        """What was done so far."""
        self.positions: dict[Key, int] = {}
        """Number of each key up to which all is done."""
        self._group = derived.group
        self._decoder = Decoder(derived.handlers)
        self._ledger = Ledger(derived.platform, derived.group)
        self._aside = Aside(derived.platform, derived.group)
        self._outbox = Outbox(derived.platform, derived.group)
        self._clock = clock
        place.make(derived.metadata)
        self._place = place
        self.connection = place.shadow
        """To it; between transactions."""

    def close(self) -> None:
        """Closes it."""
        self._place.close()

    def apply(self, topic: str, envelopes: Sequence[bytes]) -> None:
        """Applies events of a topic in one transaction. What is known already is passed over."""
        connection, now = self.connection, self._clock.now()
        moved: dict[Key, int] = {}
        applied: list[Arrival] = []
        with connection.begin():
            self._place.begin(connection)
            for data in envelopes:
                arrival = self._decoder.decode(topic, data)
                if arrival.envelope is None:
                    self._note(f"{topic}: no envelope of this topic")
                elif arrival.number > self.positions.get(arrival.key, 0):
                    self._apply_one(connection, arrival, applied)
                    moved[arrival.key] = self.positions[arrival.key] = arrival.number
            self._ledger.add_inbox(connection, applied, now)
            self._ledger.move(connection, moved, now)

    def _apply_one(self, connection: sa.Connection, arrival: Arrival, applied: list[Arrival]) -> None:
        now = self._clock.now()
        missing = range(self.positions.get(arrival.key, 0) + 1, arrival.number)
        if missing:
            self.counts.missing += len(missing)
            self._ledger.open_holes(connection, arrival.key, missing, MISSING, now)
        error = (
            explain(arrival.envelope, WHY[arrival.refusal]) if arrival.refusal else self._effect(connection, arrival)
        )
        if not error:
            self.counts.applied += 1
            applied.append(arrival)
            return
        self._note(f"{arrival.topic} {arrival.key[1]}#{arrival.number}: {error}")
        self._ledger.open_holes(connection, arrival.key, [arrival.number], DEAD_LETTER, now)
        self._aside.bury(connection, arrival, Failure(error, 1, now), now)

    def _effect(self, connection: sa.Connection, arrival: Arrival) -> str:
        """Has the effect of an event; says what was wrong where it had none."""
        assert arrival.event is not None
        assert arrival.handler is not None
        envelope = arrival.event.envelope
        # As of the event, so that a rebuild of the same events is the same.
        then = envelope.time.ToDatetime(tzinfo=UTC)
        method = f"rebuild/{envelope.type}"
        try:
            with (
                connection.begin_nested(),
                acting_for(envelope.tenant_id, method=method, request_id=envelope.request_id) as call,
            ):
                rows = PendingRows(connection)
                arrival.handler(ConsumerTransaction(rows, connection, self._outbox, then, call), arrival.event)
                rows.flush()
        except Unreadable as error:
            return explain(envelope, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is about this event, and is told
            return describe(error)
        return ""

    def _note(self, failure: str) -> None:
        self.counts.failed += 1
        if len(self.counts.failures) < SHOWN:
            self.counts.failures.append(failure)
