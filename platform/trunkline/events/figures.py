"""What publishing and consuming are told by to Prometheus: counts as they are, and figures looked up now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError
from trunkline.events.consuming.consumer import Consumer
from trunkline.events.consuming.rows import ConsumerRows
from trunkline.events.pause import pause
from trunkline.events.publishing.event_log_rows import EventLogRows
from trunkline.events.publishing.relay import Relay
from trunkline.events.streams.outage import Outage
from trunkline.events.topics import Topic
from trunkline.storage import Database, PlatformTables
from trunkline.telemetry import event_metrics as metric
from trunkline.telemetry.event_metrics import EventMetrics
from trunkline.telemetry.metrics import METRICS

LOOK_S = 5.0
"""Seconds between two looks at the database: figures are so old at most."""


class Figures:
    """Keeps the metrics of one service's events and of its database up to date."""

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        service: str,
        relay: Relay | None,
        topics: Iterable[Topic],
        consumers: Mapping[str, Consumer],
        clock: Clock = SYSTEM_CLOCK,
        *,
        into: EventMetrics = METRICS.events,
    ) -> None:
        """Looks at nothing yet.

        Args:
            database: Of the service.
            tables: The library's tables in it.
            service: Its name, and that of its group.
            relay: Its relay, if it publishes.
            topics: What it publishes; those of other publishers are left out.
            consumers: Topic that it consumes → by whom.
            clock: Ages are reckoned by it.
            into: Where the figures go.
        """
        self._database, self._service, self._clock, self._into = database, service, clock, into
        self._relay, self._consumers = relay, dict(consumers)
        self._published = [topic.name for topic in topics if topic.publisher == service and relay is not None]
        self._log, self._group = EventLogRows(tables), ConsumerRows(tables, service)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until stop is set. While the database is away, figures stay as they were."""
        while not await pause(LOOK_S, stop):
            self._count()
            if not self._published and not self._consumers:
                continue
            try:
                await self._database.read(self._look)
            except ServiceError:
                continue

    def _count(self) -> None:
        tell, service = self._into.tell, self._service
        for cause, repeats in self._database.counts.repeats.copy().items():
            tell(metric.REPEATS, repeats, service=service, cause=cause)
        tell(metric.LOG_BYTES, self._database.log_bytes, service=service)
        if self._relay is not None:
            sent = self._relay.counts
            tell(metric.SENT, sent.sent, service=service)
            tell(metric.CONFIRMED, sent.confirmed, service=service)
            tell(metric.LOST, sent.lost, service=service)
            tell(metric.TRIMMED, sent.trimmed, service=service)
            tell(metric.RELAYS, float(self._relay.relays), service=service)
            self._tell_outage("relay", self._relay.outage)
        for consumer in set(self._consumers.values()):
            done = consumer.counts
            tell(metric.APPLIED, done.applied, group=service)
            tell(metric.DUPLICATES, done.duplicates, group=service)
            tell(metric.PARKED_TIMES, done.parked, group=service)
            tell(metric.BURIED, done.dead, group=service)
            tell(metric.PASSED_OVER, done.holes, group=service)
            tell(metric.FILLED, done.filled, group=service)
            tell(metric.OWNED, len(consumer.owned), group=service)
            self._tell_outage("consumer", consumer.outage)

    def _tell_outage(self, loop: str, outage: Outage) -> None:
        for reason, times in outage.begun.items():
            self._into.tell(metric.OUTAGES, times, service=self._service, loop=loop, reason=reason)
        self._into.tell(metric.OUTAGE_S, outage.lasts_s, service=self._service, loop=loop)

    def _look(self, connection: sa.Connection) -> None:
        tell, now = self._into.tell, self._clock.now()
        if self._published:
            for topic, out in self._log.figures(connection, self._published).items():
                tell(metric.PUBLISHED, out.published, topic=topic)
                tell(metric.UNSENT, out.unsent, topic=topic)
                tell(metric.UNCONFIRMED, out.unconfirmed, topic=topic)
                tell(metric.PENDING_S, _age(out.oldest_pending_time, now), topic=topic)
        if self._consumers:
            for topic, come in self._group.figures(connection, self._consumers).items():
                where = {"group": self._service, "topic": topic}
                tell(metric.SETTLED, come.settled, **where)
                tell(metric.PARKED, come.parked, **where)
                tell(metric.PARKED_S, _age(come.oldest_parked_time, now), **where)
                tell(metric.HOLES, come.open_holes, **where)
                tell(metric.LETTERS, come.open_letters, **where)


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
