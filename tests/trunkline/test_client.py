"""connect(): one channel per target, shared by whoever asks, closed by the last."""

from __future__ import annotations

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import client
from trunkline.client import connect
from trunkline.registry.targets import UnknownTarget
from trunkline.testing.ping import BENCH_SETTINGS, bench

from tests.trunkline.interceptors.people import Named
from tests.trunkline.interceptors.shapes import SHAPES, failure, send


async def test_one_channel_per_target():
    """Whoever connects to a target shares its connection, breakers and budget."""
    async with bench() as on:
        target = f"dns:///127.0.0.1:{on.server.port}"
        async with connect("ping", target=target, settings=BENCH_SETTINGS) as second:
            assert second.peer is on.channel.peer
            assert await send(pb_grpc.PingServiceStub(second), "Ping")
        assert await send(on.ping, "Ping")


async def test_another_credential_has_another_channel():
    """Who acts as somebody else shares neither tokens nor cached answers."""
    async with bench() as on:
        target = f"dns:///127.0.0.1:{on.server.port}"
        async with connect("ping", target=target, credential=Named("cart"), settings=BENCH_SETTINGS) as second:
            assert second.peer is not on.channel.peer


async def test_the_last_user_closes():
    """Closing lets go once, however often it is asked for; the last one to let go closes the connection."""
    first = connect("ping", target="dns:///127.0.0.1:1", settings=BENCH_SETTINGS)
    second = connect("ping", target="dns:///127.0.0.1:1", settings=BENCH_SETTINGS)
    for _ in range(3):
        await first.close()
    assert second.get_state() is not grpc.ChannelConnectivity.SHUTDOWN
    await second.close()
    assert not client._shared
    third = connect("ping", target="dns:///127.0.0.1:1", settings=BENCH_SETTINGS)
    assert third.peer is not second.peer
    await third.close()


@pytest.mark.parametrize("shape", SHAPES)
async def test_nobody_is_there(shape):
    """A refused connection is UNAVAILABLE / PEER_UNREACHABLE of domain trunk, in every shape."""
    async with connect("ping", target="dns:///127.0.0.1:1", settings=BENCH_SETTINGS) as channel:
        channel.peer.retry = type(channel.peer.retry)(max_attempts=1)
        error = await failure(pb_grpc.PingServiceStub(channel), shape)
        assert (error.code, error.reason, error.domain) == (
            grpc.StatusCode.UNAVAILABLE,
            "PEER_UNREACHABLE",
            "trunk",
        )


async def test_an_unknown_name():
    """A service that nobody has said where it is cannot be connected to."""
    with pytest.raises(UnknownTarget, match="WAREHOUSE_SERVICE_HOST"):
        connect("warehouse", settings=BENCH_SETTINGS)


async def test_the_channel_tells_its_state():
    """What grpc.aio asks of a channel is answered."""
    async with bench() as on:
        await on.channel.channel_ready()
        assert on.channel.get_state() is grpc.ChannelConnectivity.READY
