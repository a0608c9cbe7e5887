"""What events made of report and journal on PostgreSQL is lost or damaged, and made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events import topic_of
from trunkline.events.rebuilding.comparison import TableComparison
from trunkline.events.rebuilding.places import ServerPlace
from trunkline.events.rebuilding.rebuild import Rebuild
from trunkline.events.rebuilding.shadow import Derived
from trunkline.storage.migrate import upgrade_postgres
from trunkline.storage.postgres import PostgresDatabase
from trunkline.testing.clock import FakeClock

from services.journal.storage.tables import ENTRY
from services.report.storage.tables import FIGURE
from tests.faults.skew.consuming import SERVICES
from tests.golden.recorded import effects, known, releases
from tests.services.received import Group
from tests.trunkline.storage.kinds import Databases

FIGURES = {"report": FIGURE.c.amount, "journal": ENTRY.c.amount_with_tax}
"""What is damaged, by service."""


class Recorded:
    """The publishers' logs: the events of a real day."""

    def __init__(self, service: str) -> None:
        topics = {topic_of(message).name for message in SERVICES[service][1]}
        self.events = [one for one in releases()[-1].envelopes() if one.topic in topics]
        """All that the service consumes."""

    async def all_of(self, topic: str) -> AsyncIterator[Sequence[bytes]]:
        """See EventLog."""
        yield [one.SerializeToString() for one in self.events if one.topic == topic]

    async def of_key(self, topic: str, key: str, numbers: range) -> AsyncIterator[Sequence[bytes]]:
        """See EventLog."""
        yield [
            one.SerializeToString()
            for one in self.events
            if (one.topic, one.key) == (topic, key) and one.number in numbers
        ]


@pytest.mark.parametrize("service", [*FIGURES])
async def test_a_rebuild_on_a_server(databases: Databases, service: str):
    """E19: what recorded events make on PostgreSQL is what was recorded; a damaged figure and rows that are lost are
    named, and a swap brings them back, while the service's database is open.
    """
    tables, handlers = SERVICES[service]
    url = await asyncio.to_thread(databases.url)
    await asyncio.to_thread(upgrade_postgres, url, tables.METADATA, tables.VERSIONS)
    database = PostgresDatabase(url, tables.METADATA, versions=tables.VERSIONS)
    await database.open()
    log, group = Recorded(service), Group(tables.PLATFORM, service, handlers, FakeClock())
    await database.write(lambda connection: _apply(group, connection, log.events))
    right = await database.read(lambda connection: effects(connection, service))
    assert known(right, releases()[-1].effects(service)) == releases()[-1].effects(service)
    derived = Derived(service, tables.METADATA, tables.PLATFORM, tables.REBUILDABLE, handlers)
    with closing(Rebuild(derived, ServerPlace(url), log)) as rebuild:
        await rebuild.fill()
        assert (await rebuild.compare()).same
        figure = FIGURES[service]
        await database.write(partial(_change, sa.update(figure.table).values({figure: figure + 1})))
        assert (await _compared(rebuild, figure.table)).different > 0
        await database.write(partial(_change, sa.delete(figure.table)))
        lost = await _compared(rebuild, figure.table)
        assert lost.missing == lost.rebuilt > 0
        await rebuild.swap()
        assert (await rebuild.compare()).same
    assert await database.read(lambda connection: effects(connection, service)) == right
    await database.close()


async def _compared(rebuild: Rebuild, table: sa.FromClause) -> TableComparison:
    """A table, the only one that is not as it should be."""
    (found,) = [one for one in (await rebuild.compare()).tables if not one.same]
    assert found.table == str(table)
    return found


def _change(statement: sa.Executable, connection: sa.Connection) -> None:
    connection.execute(statement)


def _apply(group: Group, connection: sa.Connection, events: Sequence[Envelope]) -> Any:
    return group.apply(connection, *events)
