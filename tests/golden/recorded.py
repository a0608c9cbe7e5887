"""Recorded events: what services of a release published on a real day, and what their consumers made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trunk.event.v1.envelope_pb2 import Envelope
from trunk.event.v1.event_log_service_pb2 import ListEventsResponse

from services.journal.storage.tables import ENTRY
from services.report.storage import tables as report
from services.stock.storage.tables import MOVEMENT

EVENTS = Path(__file__).parent / "events"
"""A folder for each release: a file of events for each topic, contracts, and effects for each service."""

# Stock is moved by people, too, and numbers and times its movements as it makes them.
_MOVED = sa.select(*(MOVEMENT.c[name] for name in (
    "tenant_id", "store_code", "item_code", "kind", "change", "terminal_no", "transaction_no",
))).where(MOVEMENT.c.transaction_no > 0)  # fmt: skip
EFFECTS: dict[str, dict[str, sa.Select[Any]]] = {
    "report": {table.name: sa.select(table) for table in report.REBUILDABLE},
    "journal": {ENTRY.name: sa.select(ENTRY)},
    "stock": {MOVEMENT.name: _MOVED},
}
"""What events make in the database of each consumer: nothing else is in these rows."""

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Release:
    """The recorded events of a release."""

    folder: Path
    """Where they are."""

    @property
    def name(self) -> str:
        """Its version."""
        return self.folder.name

    @property
    def manifest(self) -> dict[str, Any]:
        """What is recorded."""
        found: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return found

    def events(self) -> Iterator[bytes]:
        """All envelopes: topic by topic, each in the order of its commits."""
        for topic in sorted(self.manifest["topics"]):
            answer = ListEventsResponse.FromString((self.folder / f"{topic}.binpb").read_bytes())
            yield from (one.envelope for one in answer.events)

    def envelopes(self) -> list[Envelope]:
        """The same, parsed."""
        return [Envelope.FromString(one) for one in self.events()]

    def effects(self, service: str) -> Rows:
        """What the service of that release made of them."""
        found: Rows = json.loads((self.folder / f"{service}.json").read_text(encoding="utf-8"))
        return found


def releases() -> list[Release]:
    """All that are recorded, oldest first."""
    folders = [path for path in EVENTS.iterdir() if path.is_dir()]
    return [Release(path) for path in sorted(folders, key=lambda path: [int(part) for part in path.name.split(".")])]


def effects(connection: sa.Connection, service: str) -> Rows:
    """What events made in a service's database, in a form that can be kept and compared."""
    return {name: _sorted(connection.execute(query)) for name, query in EFFECTS[service].items()}


def known(found: Rows, wanted: Rows) -> Rows:
    """Of what was found only the columns that the other has: tables grow."""
    return {
        table: _in_order([{name: row[name] for name in rows[0]} for row in found[table]] if rows else found[table])
        for table, rows in wanted.items()
    }


def _sorted(result: sa.Result[Any]) -> list[dict[str, Any]]:
    return _in_order([{str(name): _plain(value) for name, value in row.items()} for row in result.mappings()])


def _in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=json.dumps)


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return f"sha256 {sha256(value).hexdigest()}" if isinstance(value, bytes) else value
