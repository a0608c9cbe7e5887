"""Records the events of a release, for tests of all later ones: from the shop that runs here, after a day's trade.

    TRUNKLINE_VAR_DIR=/tmp/golden/var make run SALES=60      (in another shell, on a fresh folder)
    TRUNKLINE_VAR_DIR=/tmp/golden/var .venv/bin/python tools/golden.py 0.1.0

What is written is what the services published, byte for byte, and what report, journal and stock made of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from pos.event.v1 import cash_log_pb2, open_close_log_pb2, report_log_pb2, transaction_log_pb2
from trunk.event.v1.envelope_pb2 import Envelope
from trunk.event.v1.event_log_service_pb2 import ListEventsResponse, LoggedEvent
from trunkline.cli.running import settings
from trunkline.events.topics import topics_in
from trunkline.storage import new_metadata, platform_tables
from trunkline.storage.sqlite import begin, open_engine

from tests.golden.recorded import EFFECTS, EVENTS, effects

FILES = [module.DESCRIPTOR for module in (cash_log_pb2, open_close_log_pb2, report_log_pb2, transaction_log_pb2)]
PLATFORM = platform_tables(new_metadata())


class NotRecorded(Exception):
    """Nothing was written; the text says why."""


@contextmanager
def opened(var_dir: Path, service: str) -> Iterator[sa.Connection]:
    """One state of a service's database."""
    engine = open_engine(var_dir / service / f"{service}.db", busy_timeout_s=5.0, read_only=True)
    with engine.connect() as connection, connection.begin():
        begin(connection, writing=False)
        yield connection
    engine.dispose()


def published(var_dir: Path, topic: str, publisher: str) -> list[bytes]:
    """All events of a topic, once every group has confirmed them."""
    columns = PLATFORM.outbox.c
    query = sa.select(columns.envelope, columns.confirmed).where(columns.topic == topic).order_by(columns.id)
    with opened(var_dir, publisher) as connection:
        rows = connection.execute(query).all()
    if not rows:
        raise NotRecorded(f"{publisher} has published nothing on {topic}")
    if not all(row.confirmed for row in rows):
        raise NotRecorded(f"not all of {topic} is confirmed yet: wait a little")
    return [row.envelope for row in rows]


def contracts(files: Iterable[FileDescriptor]) -> descriptor_pb2.FileDescriptorSet:
    """Files, and all that they import, in an order in which they can be added to a pool."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(file: FileDescriptor) -> None:
        if file.name in found:
            return
        for dependency in file.dependencies:
            add(dependency)
        copy = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(copy)
        found[file.name] = copy

    for file in files:
        add(file)
    return descriptor_pb2.FileDescriptorSet(file=found.values())


def record(var_dir: Path, folder: Path) -> dict[str, Any]:
    """Writes everything; gives the manifest."""
    logs = {name: published(var_dir, name, topic.publisher) for name, topic in topics_in(FILES).items()}
    made: dict[str, Any] = {}
    for service in EFFECTS:
        with opened(var_dir, service) as connection:
            made[service] = effects(connection, service)
    envelopes = [Envelope.FromString(one) for log in logs.values() for one in log]
    types = sorted({one.type for one in envelopes})
    files = [descriptor_pool.Default().FindMessageTypeByName(name).file for name in types]
    manifest = {
        "topics": {name: len(log) for name, log in sorted(logs.items())},
        "types": {name: sorted({one.fingerprint for one in envelopes if one.type == name}) for name in types},
        "effects": {name: {table: len(rows) for table, rows in tables.items()} for name, tables in made.items()},
    }
    folder.mkdir(parents=True)
    for name, log in logs.items():
        answer = ListEventsResponse(events=[LoggedEvent(envelope=one) for one in log])
        (folder / f"{name}.binpb").write_bytes(answer.SerializeToString())
    (folder / "contracts.binpb").write_bytes(contracts(files).SerializeToString())
    for name, tables in made.items():
        rows = {table: "[\n" + ",\n".join(map(json.dumps, found)) + "\n]" for table, found in tables.items()}
        text = ",\n".join(f'"{table}": {found}' for table, found in rows.items())
        (folder / f"{name}.json").write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def main() -> int:
    """Records, once for each release, and says what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", help="such as 0.1.0")
    folder = EVENTS / parser.parse_args().release
    if folder.exists():
        print(f"{folder} is recorded already: a release is recorded once", file=sys.stderr)
        return 2
    try:
        manifest = record(settings().var_dir, folder)
    except NotRecorded as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{folder}: {Counter(manifest['topics']).total()} events of {len(manifest['topics'])} topics")
    return 0


if __name__ == "__main__":
    sys.exit(main())
