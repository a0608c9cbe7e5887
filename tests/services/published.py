"""What a service has published, as it stands in its outbox."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from google.protobuf import symbol_database
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.testing.local import LocalNode


async def envelopes(node: LocalNode[Any]) -> list[Envelope]:
    """The envelopes of all events that a service has committed, oldest first."""
    assert node.storage is not None
    outbox = node.storage.tables.outbox
    query = sa.select(outbox.c.envelope).order_by(outbox.c.id)
    rows = await node.storage.database.read(lambda connection: connection.scalars(query).all())
    return [Envelope.FromString(row) for row in rows]


async def events(node: LocalNode[Any]) -> list[Any]:
    """The payloads of all events that a service has committed, oldest first."""
    symbols = symbol_database.Default()
    return [symbols.GetSymbol(one.type).FromString(one.payload) for one in await envelopes(node)]
