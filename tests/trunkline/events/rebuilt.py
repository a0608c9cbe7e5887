"""A service that keeps totals of notes, its publisher's log, and rebuilds of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events import ConsumerTransaction, Event
from trunkline.events.consuming.applying import Applying
from trunkline.events.event import Decoder
from trunkline.events.rebuilding.places import FilePlace, Place, ServerPlace
from trunkline.events.rebuilding.rebuild import Rebuild
from trunkline.events.rebuilding.shadow import Derived
from trunkline.storage import new_metadata, platform_tables, sqlite
from trunkline.storage.postgres_engine import open_engine

from tests.trunkline.events.notes import GROUP, OTHER_KEY, Note, Reply, envelope

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
TOTAL = sa.Table(
    "total",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("last", sa.Text, nullable=False),
)
"""What events make: how many there were of a key, and what the last one said."""
SETTING = sa.Table("setting", METADATA, sa.Column("name", sa.Text, primary_key=True))
"""What they do not."""


def add(tx: ConsumerTransaction, event: Event) -> None:
    """Counts a note, and publishes a reply."""
    if event.message.text == "bad":
        raise ValueError
    key, text = event.envelope.key, event.message.text
    same = sa.update(TOTAL).where(TOTAL.c.key == key).values(count=TOTAL.c.count + 1, last=text)
    if tx.connection.execute(same).rowcount == 0:
        tx.connection.execute(sa.insert(TOTAL).values(key=key, count=1, last=text))
    tx.publish(Reply(text=text), key=key, subject="replies/1")


HANDLERS: dict[type[Message], Any] = {Note: add}
DERIVED = Derived(GROUP, METADATA, PLATFORM, [TOTAL], HANDLERS)


class Log:
    """The publisher's log, in pages of two."""

    def __init__(self, *events: bytes) -> None:
        self.events = list(events)

    async def all_of(self, topic: str) -> AsyncIterator[Sequence[bytes]]:
        """See EventLog."""
        for start in range(0, len(self.events), 2):
            yield self.events[start : start + 2]

    async def of_key(self, topic: str, key: str, numbers: range) -> AsyncIterator[Sequence[bytes]]:
        """See EventLog."""
        parsed = [(Envelope.FromString(one), one) for one in self.events]
        yield [data for found, data in parsed if found.key == key and found.number in numbers]


class Live:
    """A live database, and what its service does."""

    def __init__(self, at: Path | str) -> None:
        self.at = at
        """Its file, or its address."""
        if isinstance(at, Path):
            sqlite.create_file(at)
        with self.writing() as connection:
            METADATA.create_all(connection)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction of the service's writer."""
        is_file = isinstance(self.at, Path)
        engine = sqlite.open_engine(self.at, busy_timeout_s=5.0) if isinstance(self.at, Path) else open_engine(self.at)
        with engine.connect() as connection, connection.begin():
            if is_file:
                sqlite.begin(connection)
            yield connection
        engine.dispose()

    def place(self, scratch: Path) -> Place:
        """Itself, for a rebuild."""
        return FilePlace(self.at, scratch) if isinstance(self.at, Path) else ServerPlace(self.at)

    def receive(self, *events: bytes) -> None:
        """Applies events, as its consumer does."""
        decoder, applying = Decoder(HANDLERS), Applying(PLATFORM, GROUP)
        for data in events:
            with self.writing() as connection:
                arrival = decoder.decode("notes", data)
                applying.apply(connection, [arrival], SYSTEM_CLOCK.now(), parked_keys=())

    def receive_together(self, *events: bytes) -> None:
        """Applies events in one batch."""
        decoder = Decoder(HANDLERS)
        with self.writing() as connection:
            arrivals = [decoder.decode("notes", data) for data in events]
            Applying(PLATFORM, GROUP).apply(connection, arrivals, SYSTEM_CLOCK.now(), parked_keys=())

    def bury(self, data: bytes) -> None:
        """Makes an event a dead letter, as its consumer does after the last attempt."""
        arrival = Decoder(HANDLERS).decode("notes", data, attempts=4)
        now = SYSTEM_CLOCK.now()
        with self.writing() as connection:
            Applying(PLATFORM, GROUP).set_aside(connection, arrival, "it broke", now, retry_time=now + timedelta(1))

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """All rows of a table."""
        with self.writing() as connection:
            found = connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()
            return [dict(row) for row in found]

    def totals(self) -> dict[str, tuple[int, str]]:
        """What events made."""
        return {row["key"]: (row["count"], row["last"]) for row in self.rows(TOTAL)}

    def change(self, statement: sa.Executable) -> None:
        """Damages it."""
        with self.writing() as connection:
            connection.execute(statement)


@contextmanager
def rebuilding(live: Live, log: Log, tmp_path: Path) -> Iterator[Rebuild]:
    """A rebuild that is closed at the end."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with closing(Rebuild(DERIVED, live.place(scratch), log, wait_s=0.001)) as rebuild:
        yield rebuild


EVENTS = [envelope(1), envelope(1, key=OTHER_KEY), envelope(2), envelope(3), envelope(2, key=OTHER_KEY)]
