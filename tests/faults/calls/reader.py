"""A reader of a stream in a process of its own, `python -m tests.faults.calls.reader TARGET KEY`, to be killed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect

from tests.faults.calls.servicers import KEY


async def main(target: str, key: str) -> None:
    """Reads one answer of many, says so, and reads no more."""
    async with connect("faulty", target=target) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        request = pb.PingManyRequest(value="x" * 1000, count=100_000, behaviour=pb.Behaviour(attempt_key=key))
        call = stub.PingMany(request, timeout=45.0, metadata=((KEY, key),))
        await call.read()
        print("reading", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
