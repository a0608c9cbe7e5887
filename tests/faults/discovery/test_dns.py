"""A name with several addresses: gRPC's own resolver asks a name server, and all addresses are called in turn."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.launcher.ports import free_port
from trunkline.server import Server
from trunkline.service import Service
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached

from tests.shop.waiting import until

A, IN, ANSWER = 1, 1, 0x8580
"""Type, class and flags of what is answered."""


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an A record with the same addresses."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked = 0

    def connection_made(self, transport: Any) -> None:
        """Keeps the way back."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answers one question."""
        self.asked += 1
        end = data.index(0, 12) + 5
        question, kind = data[12:end], struct.unpack(">H", data[end - 4 : end - 2])[0]
        found = self.addresses if kind == A else []
        head = data[:2] + struct.pack(">HHHHH", ANSWER, 1, len(found), 0, 0)
        answers = [struct.pack(">HHHIH", 0xC00C, A, IN, 0, 4) + socket.inet_aton(one) for one in found]
        self._transport.sendto(head + question + b"".join(answers), addr)


@asynccontextmanager
async def names(*addresses: str) -> AsyncIterator[tuple[NameServer, int]]:
    """A name server, and its port."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer([*addresses]), ("127.0.0.1", 0))
    try:
        yield server, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@asynccontextmanager
async def serving(address: str, port: int) -> AsyncIterator[Reached]:
    """An instance on an address of this machine."""
    reached = Reached()
    settings = BENCH_SETTINGS.model_copy(update={"listen_host": address})
    async with Server([Service(name="ping", servicers=[PingServicer(reached)])], settings, port=port):
        yield reached


async def test_a_name_with_several_addresses():
    """All addresses of a name get their share; one that leaves is skipped without a failure."""
    port = free_port()
    async with names("127.0.0.1", "127.0.0.2") as (server, dns), serving("127.0.0.1", port) as first:
        target = f"dns://127.0.0.1:{dns}/item.shop:{port}"
        async with connect("ping", target=target, settings=BENCH_SETTINGS) as channel:
            stub: Any = pb_grpc.PingServiceStub(channel)
            async with serving("127.0.0.2", port) as second:

                async def both() -> bool:
                    await stub.Ping(pb.PingRequest())
                    return first.calls["Ping"] > 0 and second.calls["Ping"] > 0

                await until(both, "both are called", 10)
                before = first.calls["Ping"], second.calls["Ping"]
                for _ in range(20):
                    await stub.Ping(pb.PingRequest())
                assert (first.calls["Ping"] - before[0], second.calls["Ping"] - before[1]) == (10, 10)
            for _ in range(20):
                await stub.Ping(pb.PingRequest())
        assert server.asked >= 1
