"""The way to a target: which one gRPC is given, and what becomes of calls and stubs when it changes or is closed."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.server import Server
from trunkline.service import Service
from trunkline.testing.ping import BENCH_SETTINGS, Bench, PingServicer, Reached, bench
from trunkline.transport import Transport, target_of_addresses

from tests.shop.waiting import until


def transport_of(on: Bench) -> Transport:
    """The way of the bench's channel."""
    return on.channel._shared.transport


async def replaced(on: Bench) -> None:
    """The channel is another one, to the same server."""
    before = on.channel.replaced
    transport_of(on).replace()
    await until(lambda: on.channel.replaced > before, "the channel is replaced", 5.0)


@pytest.mark.parametrize(
    ("addresses", "target"),
    [
        ([], ""),
        (["10.0.0.1:1", "10.0.0.2:2"], "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (["[::1]:1", "[fd00::2]:2"], "ipv6:[::1]:1,[fd00::2]:2"),
        (["10.0.0.1:1", "[::1]:1"], "ipv6:[::ffff:10.0.0.1]:1,[::1]:1"),
        (["item.shop:1"], "dns:///item.shop:1"),
        (["999.1.1.1:1", "10.0.0.1:1", "item.shop:1", "[x]:1"], "ipv4:10.0.0.1:1"),
    ],
)
def test_the_target_of_addresses(addresses: list[str], target: str):
    """Both families in one target, and nothing beside numbers that would have gRPC refuse the others."""
    assert target_of_addresses(addresses) == target


async def test_servers_of_both_families():
    """A server of IPv4 is called beside one of IPv6."""
    async with bench() as on:
        target = target_of_addresses([f"127.0.0.1:{on.server.port}", "[::1]:1"])
        async with connect("ping", target=target, settings=BENCH_SETTINGS) as channel:
            stub: Any = pb_grpc.PingServiceStub(channel)
            assert (await stub.Ping(pb.PingRequest(value="v"))).value == "v"


async def test_stubs_come_and_go():
    """A stub for each call leaves nothing behind on a channel that others hold."""
    async with bench() as on:
        for _ in range(20):
            stub: Any = pb_grpc.PingServiceStub(on.channel)
            await stub.Ping(pb.PingRequest())
        del stub
        gc.collect()
        await replaced(on)
        assert len(transport_of(on)._senders) <= 8  # the bench's stub, and the first that called


@pytest.mark.parametrize("options", [{}, {"compression": grpc.Compression.Gzip}], ids=["ours", "of grpc"])
async def test_a_call_outlives_a_change(options: dict[str, Any]):
    """B7: a call that runs when its channel is replaced is answered, whatever options it has."""
    async with bench() as on:
        request = pb.PingRequest(value="v", behaviour=pb.Behaviour(sleep_ms=800))
        call = asyncio.ensure_future(on.ping.Ping(request, **options).code())
        await until(lambda: on.reached.calls["Ping"] == 1, "the call runs", 5.0)
        await replaced(on)
        assert await call is grpc.StatusCode.OK


async def test_the_grace_is_everybodys():
    """A stream on a channel that was replaced has the grace of close(), like one on the last."""
    async with bench() as on:
        chat: Any = on.ping.PingChat(timeout=20.0)
        await chat.write(pb.PingChatRequest(value="before"))
        assert (await chat.read()).value == "before"
        await replaced(on)
        closing = asyncio.create_task(on.channel.close(10.0))
        await asyncio.sleep(0)
        await chat.write(pb.PingChatRequest(value="after"))
        assert (await chat.read()).value == "after"
        await chat.done_writing()
        assert await chat.read() is grpc.aio.EOF
        await closing


async def test_without_grace_calls_end():
    """A stream on a channel that was replaced is cancelled when the channel is closed without a grace."""
    async with bench() as on:
        chat: Any = on.ping.PingChat(timeout=20.0)
        await chat.write(pb.PingChatRequest(value="before"))
        assert (await chat.read()).value == "before"
        await replaced(on)
        await on.channel.close()
        assert await chat.code() is grpc.StatusCode.CANCELLED


@pytest.fixture
async def registry(tmp_path: Path) -> Any:
    """Nobody is registered there."""
    server = EmbeddedRedis(tmp_path / "redis")
    await server.start()
    yield BENCH_SETTINGS.model_copy(update={"registry_url": server.url, "var_dir": tmp_path})
    await server.stop()


async def test_who_waits_for_an_address_is_told_of_the_end(registry: Any):
    """A call that waits for a first address fails when its channel is closed, not at its deadline."""
    channel = connect("ping", target="registry:///ping", settings=registry)
    stub: Any = pb_grpc.PingServiceStub(channel)
    call = asyncio.ensure_future(stub.Ping(pb.PingRequest(), timeout=60.0))
    await asyncio.sleep(0)
    await channel.close()
    async with asyncio.timeout(10.0):
        with pytest.raises(ServiceError, match="PEER_UNREACHABLE: the channel has been closed"):
            await call


async def test_channels_are_closed_at_any_moment(registry: Any):
    """Closing ends the reading of the registry whatever it is doing: the client of Redis may swallow a cancellation."""
    async with asyncio.timeout(10.0):
        for turns in range(40):
            async with connect("ping", target="registry:///ping", settings=registry):
                for _ in range(turns):
                    await asyncio.sleep(0)


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
async def test_a_server_on_ipv6():
    """A server listens on a number of IPv6."""
    settings = BENCH_SETTINGS.model_copy(update={"listen_host": "::1"})
    async with Server([Service(name="ping", servicers=[PingServicer(Reached())])], settings) as server:
        target = target_of_addresses([f"[::1]:{server.port}", "127.0.0.1:1"])
        async with connect("ping", target=target, settings=BENCH_SETTINGS) as channel:
            stub: Any = pb_grpc.PingServiceStub(channel)
            assert (await stub.Ping(pb.PingRequest(value="v"))).value == "v"
