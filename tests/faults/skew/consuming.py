"""The shop's consumers, each on a database of its own, as their services have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events.consuming.applying import Outcome
from trunkline.events.topics import topics_in
from trunkline.storage import PlatformTables
from trunkline.testing.clock import FakeClock

from services.journal.consumers.handlers import HANDLERS as JOURNAL
from services.journal.storage import tables as journal
from services.report.consumers.handlers import HANDLERS as REPORT
from services.report.storage import tables as report
from services.stock.consumers.handlers import HANDLERS as STOCK
from services.stock.storage import tables as stock
from tests.golden.recorded import Rows, effects
from tests.services.received import Group, fresh

SERVICES: dict[str, tuple[Any, Any]] = {
    "report": (report, REPORT),
    "journal": (journal, JOURNAL),
    "stock": (stock, STOCK),
}


class Consuming:
    """A service as a consumer."""

    def __init__(self, service: str, connection: sa.Connection) -> None:
        tables, handlers = SERVICES[service]
        self.platform: PlatformTables = tables.PLATFORM
        """The library's tables."""
        self._service = service
        self._connection = connection
        self._group = Group(tables.PLATFORM, service, handlers, FakeClock())
        topics = topics_in(message.DESCRIPTOR.file for message in handlers)
        self._topics = {name for name, topic in topics.items() if service in topic.groups}

    def consumes(self, topic: str) -> bool:
        """Whether it reads a topic."""
        return topic in self._topics

    def receive(self, events: Iterable[Envelope]) -> Outcome:
        """Applies those that are of its topics, one after the other; gives the last outcome."""
        outcome = Outcome()
        for one in events:
            if self.consumes(one.topic):
                outcome = self._group.apply(self._connection, one)
        return outcome

    def effects(self) -> Rows:
        """What they made."""
        return effects(self._connection, self._service)

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """Rows of a table."""
        return [dict(row) for row in self._connection.execute(sa.select(table)).mappings()]


@contextmanager
def consuming(service: str) -> Iterator[Consuming]:
    """A service with an empty database, gone at the end."""
    with fresh(SERVICES[service][0].METADATA) as connection:
        yield Consuming(service, connection)
