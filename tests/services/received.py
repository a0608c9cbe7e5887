"""Events on their way to one service, applied as its consumer does: inbox, position and effect together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.clock import Clock
from trunkline.events.consuming.applying import Applying, Outcome
from trunkline.events.event import Decoder, Handlers
from trunkline.events.topics import topic_of
from trunkline.node import Storage
from trunkline.storage import PlatformTables


class Numbers:
    """Makes events of logs, numbered as their publishers number them."""

    def __init__(self) -> None:
        self._last: Counter[tuple[str, str]] = Counter()

    def envelope(self, log: Any, tenant_id: str = "acme") -> Envelope:
        """The next event of a log's terminal."""
        topic, key = topic_of(log), f"{tenant_id}/{log.store_code}/{log.terminal_no}"
        self._last[topic.name, key] += 1
        number = self._last[topic.name, key]
        return Envelope(
            id=f"{topic.name}-{key}-{number}",
            source=topic.publisher,
            type=log.DESCRIPTOR.full_name,
            subject=f"{key}/{topic.name}/{number}",
            tenant_id=tenant_id,
            topic=topic.name,
            key=key,
            number=number,
            payload=log.SerializeToString(),
        )


class Group:
    """A service as a consumer."""

    def __init__(self, tables: PlatformTables, name: str, handlers: Handlers, clock: Clock) -> None:
        self._applying = Applying(tables, name)
        self._decoder = Decoder(handlers)
        self._clock = clock

    def apply(self, connection: sa.Connection, *envelopes: Envelope) -> Outcome:
        """Applies events in one transaction."""
        arrivals = [self._decoder.decode(one.topic, one.SerializeToString()) for one in envelopes]
        return self._applying.apply(connection, arrivals, self._clock.now(), parked_keys=())


class Feed:
    """Brings logs to a service that runs in a test."""

    def __init__(self, storage: Storage, name: str, handlers: Handlers, clock: Clock) -> None:
        self._database = storage.database
        self._group = Group(storage.tables, name, handlers, clock)
        self.numbers = Numbers()
        """Of the events it makes."""

    async def deliver(self, *envelopes: Envelope) -> Outcome:
        """Brings events in one batch, all or none."""
        return await self._database.write(lambda connection: self._group.apply(connection, *envelopes))

    async def receive(self, *logs: Any, tenant_id: str = "acme") -> Outcome:
        """Brings logs of a tenant's terminals, in their order."""
        return await self.deliver(*(self.numbers.envelope(log, tenant_id) for log in logs))


@contextmanager
def fresh(metadata: sa.MetaData) -> Iterator[sa.Connection]:
    """A database of its own for one case of many, gone with the case."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        yield connection
    engine.dispose()
