"""The only server of a target is restarted: calls wait inside their deadline, and none fails."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.launcher.ports import free_port
from trunkline.server import Server
from trunkline.service import Service
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached

from tests.shop.waiting import until

SETTINGS = BENCH_SETTINGS.model_copy(update={"drain_wait_s": 0.3})


def server(port: int, reached: Reached) -> Server:
    """The server, not started."""
    return Server([Service(name="ping", servicers=[PingServicer(reached)])], SETTINGS, port=port)


async def test_an_instance_restarts():
    """B1: calls go on all the while, through the drain, the time without a server, and the start of its successor."""
    port, reached, answered = free_port(), Reached(), 0
    async with connect("ping", target=f"dns:///127.0.0.1:{port}", settings=SETTINGS) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)

        async def call_on() -> None:
            nonlocal answered
            while True:
                await stub.Ping(pb.PingRequest(value="v"), timeout=20.0)
                answered += 1
                await asyncio.sleep(0.01)

        async with server(port, reached):
            calling = asyncio.create_task(call_on())
            await until(lambda: answered > 10 or calling.done(), "calls are answered")
        await asyncio.sleep(0.5)  # nobody is there: calls wait
        before = answered
        async with server(port, reached):
            await until(lambda: answered > before + 10 or calling.done(), "calls are answered again")
            assert not calling.done(), calling.exception()
            calling.cancel()
            await asyncio.wait({calling})


async def test_a_server_that_never_comes_back():
    """A target that has drained and is followed by nobody costs a call its deadline, and no more."""
    port, reached = free_port(), Reached()
    async with connect("ping", target=f"dns:///127.0.0.1:{port}", settings=SETTINGS) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        async with server(port, reached) as running:
            await stub.Ping(pb.PingRequest())
            await running.health.drain()
            await until(lambda: channel.get_state().name == "TRANSIENT_FAILURE", "the caller knows")
            began = time.monotonic()
            with pytest.raises(ServiceError) as caught:
                await stub.Ping(pb.PingRequest(), timeout=0.5)
            assert caught.value.code.name in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
            assert 0.4 < time.monotonic() - began < 5.0
        assert reached.calls["Ping"] == 1


async def test_something_that_says_nothing():
    """A6: what listens takes connections and says nothing, then the server is there: it is found within seconds, not
    after the twenty that gRPC would give one attempt.
    """
    port, held = free_port(), []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    silent = await asyncio.start_server(hold, "127.0.0.1", port)
    async with connect("ping", target=f"dns:///127.0.0.1:{port}", settings=SETTINGS) as channel:
        channel.get_state(try_to_connect=True)
        await until(lambda: held, "it is connected to")
        silent.close()
        async with server(port, Reached()):
            async with asyncio.timeout(10.0):
                await channel.channel_ready()
    for writer in held:
        writer.close()
        await writer.wait_closed()
