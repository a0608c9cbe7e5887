"""What a server does not have: every kind of call to it is UNIMPLEMENTED, and in production so is what tells of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1.ping_service_pb2 import PingRequest
from trunk.testing.v1.ping_service_pb2_grpc import PingServiceStub

from tests.faults.calls.servicers import KEY
from tests.faults.lifecycle.running import Running

pytestmark = pytest.mark.xdist_group("fault-surface")
SHAPES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
UNKNOWN = (
    "/trunk.testing.v1.PingService/NoSuchMethod",
    "/trunk.testing.v1.PingService/ping",
    "/no.such.v1.Service/Ping",
    "/grpc.health.v1.Health/NoSuchMethod",
)
DEBUG = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.channelz.v1.Channelz/GetServers",
    "/grpc.channelz.v1.Channelz/GetTopChannels",
    "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
    "/trunk.testing.v1.EffectService/Add",
)
"""Reflection, channelz, what a proxy tells of itself, and a bench that is not served here."""


@pytest.fixture(scope="module", params=["production", "test"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose profile is not development."""
    with Running(tmp_path_factory.mktemp(request.param), TRUNKLINE_PROFILE=request.param) as running:
        yield running


async def _requests() -> AsyncIterator[bytes]:
    yield b""


async def refused(target: str, shape: str, path: str, metadata: Any = ()) -> tuple[str, str]:
    """Code and text with which a call of some shape fails, whatever is there."""
    async with grpc.aio.insecure_channel(target) as channel:
        method: Any = getattr(channel, shape)(path)
        call = method(*([] if shape.startswith("stream") else [b""]), timeout=10.0, metadata=metadata)
        if shape.startswith("stream"):
            # Nothing is sent: grpcio's client calls it INTERNAL where a refusal overtakes what it sends.
            await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if shape.endswith("stream") else call)
        return caught.value.code().name, caught.value.details() or ""


@pytest.mark.parametrize("shape", SHAPES)
async def test_methods_that_nobody_has(server: Running, shape: str):
    """B16: unknown methods and services, called in every shape, with and without a token: UNIMPLEMENTED, never UNKNOWN,
    with no word of Python; they have no row in the metrics, and the next call is answered.
    """
    for path in UNKNOWN:
        for metadata in ((), (("authorization", "Bearer junk"),)):
            code, text = await refused(server.target, shape, path, metadata)
            assert (path, code) == (path, "UNIMPLEMENTED")
            assert not [word for word in ("Error", "Traceback", "object", "None") if word in text]
    assert server.counted("grpc_server_call_started_total", grpc_method="no.such.v1.Service/Ping") == 0
    async with grpc.aio.insecure_channel(server.target) as channel:
        assert (await PingServiceStub(channel).Ping(PingRequest(value="v"), metadata=((KEY, "v"),))).value == "v"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", DEBUG)
async def test_nothing_tells_of_the_server(server: Running, shape: str, path: str):
    """B17: outside development there is no reflection, no channelz and no bench that was not asked for."""
    assert (await refused(server.target, shape, path))[0] == "UNIMPLEMENTED"


async def test_reflection_in_development(tmp_path):
    """B17: the probe of the other tests sees reflection where there is some."""
    with Running(tmp_path, TRUNKLINE_PROFILE="development") as running:
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        async with grpc.aio.insecure_channel(running.target) as channel:
            method: Any = channel.stream_stream(path)
            assert await method(_requests(), timeout=10.0).read() != grpc.aio.EOF
