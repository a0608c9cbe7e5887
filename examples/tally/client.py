"""Calls the smallest service: the deadline, the retries and the idempotency key come from its contract."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from trunkline.client import connect

sys.path.insert(0, str(Path(__file__).parent / "gen"))
from tally.v1 import tally_service_pb2 as pb
from tally.v1 import tally_service_pb2_grpc as pb_grpc


async def main() -> None:
    """Adds two sheep, twice under one key, and once more under another."""
    async with connect("tally") as channel:
        tally = pb_grpc.TallyServiceStub(channel)
        sheep = pb.AddRequest(name="sheep", count=2)
        for key in ("monday", "monday", "tuesday"):
            answer = await tally.Add(sheep, metadata=[("idempotency-key", key)])
            print(f"{key}: {answer.total}")


if __name__ == "__main__":
    asyncio.run(main())
