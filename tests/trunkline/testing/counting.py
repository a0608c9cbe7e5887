"""A service with effects that can be counted: every addition is a row, in the transaction of its key and answer."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.node import Node, Storage
from trunkline.service import Service
from trunkline.settings import ServiceSettings
from trunkline.storage import Transaction, UnitOfWork, new_metadata, platform_tables

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
EFFECT = sa.Table(
    "effect",
    METADATA,
    # Nothing here forbids a second row: a test must be able to see one.
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
)


class CountingSettings(ServiceSettings, env_prefix="COUNTING_"):
    """It has none of its own."""


class Counting(pb_grpc.EffectServiceServicer):
    """Adds, by a unit of work."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit
        self.calls = 0

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """Adds a row; answers the sum of all."""
        self.calls += 1

        def work(tx: Transaction) -> pb.AddResponse:
            tx.connection.execute(sa.insert(EFFECT).values(amount=request.amount))
            return pb.AddResponse(value=tx.connection.scalar(sa.select(sa.func.sum(EFFECT.c.amount))))

        return await self._unit.run(work)


async def build(node: Node[CountingSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM)
    return node.service(storage, servicers=[Counting(storage.unit)])  # type: ignore[abstract]


async def effects(storage: Storage) -> list[int]:
    """The rows that are committed."""
    amounts = sa.select(EFFECT.c.amount).order_by(EFFECT.c.id)
    return await storage.database.read(lambda connection: list(connection.scalars(amounts)))
