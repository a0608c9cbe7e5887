"""The smallest service: one rpc, one table. `python service.py` serves it, `python client.py` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

import sqlalchemy as sa
from trunkline.node import Node
from trunkline.process import run
from trunkline.server import Context
from trunkline.service import Service
from trunkline.settings import ServiceSettings
from trunkline.storage import Transaction, UnitOfWork, new_metadata, platform_tables

sys.path.insert(0, str(Path(__file__).parent / "gen"))
from tally.v1 import tally_service_pb2 as pb
from tally.v1 import tally_service_pb2_grpc as pb_grpc

METADATA = new_metadata()
PLATFORM = platform_tables(METADATA)
TALLY = sa.Table(
    "tally", METADATA, sa.Column("name", sa.Text, primary_key=True), sa.Column("total", sa.BigInteger, nullable=False)
)


class TallySettings(ServiceSettings, env_prefix="TALLY_"):
    """Each is read from TALLY_<NAME>."""

    port: int = 50100
    """Port to serve on."""


class TallyServicer(pb_grpc.TallyServiceServicer):
    """Counts."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    async def Add(self, request: pb.AddRequest, context: Context) -> pb.AddResponse:
        """Adds to a tally: key, effect and answer in one transaction."""

        def work(tx: Transaction) -> pb.AddResponse:
            here = TALLY.c.name == request.name
            total = tx.connection.scalar(sa.select(TALLY.c.total).where(here))
            if total is None:
                tx.connection.execute(sa.insert(TALLY).values(name=request.name, total=request.count))
                return pb.AddResponse(total=request.count)
            tx.connection.execute(sa.update(TALLY).where(here).values(total=total + request.count))
            return pb.AddResponse(total=total + request.count)

        return await self._unit.run(work)


async def build(node: Node[TallySettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM)
    return node.service(storage, servicers=[TallyServicer(storage.unit)])


if __name__ == "__main__":
    run("tally", TallySettings, build)
