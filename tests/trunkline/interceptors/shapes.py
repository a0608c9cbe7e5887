"""The bench's four rpcs, called alike: with our client chain, or as a stranger who sends bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.testing.ping import Bench

SHAPES = ("Ping", "PingMany", "PingAll", "PingChat")
UNARY_REQUEST = ("Ping", "PingMany")
STREAMED_REQUEST = ("PingAll", "PingChat")
STREAMED_REPLY = ("PingMany", "PingChat")
SERVICE = "/trunk.testing.v1.PingService/"


async def stream(*messages: Any) -> AsyncIterator[Any]:
    """A request stream."""
    for message in messages:
        yield message


def begin(ping: Any, shape: str, behaviour: pb.Behaviour | None = None, **options: Any) -> Any:
    """Starts a call of a shape; gives grpc's call object."""
    match shape:
        case "Ping":
            return ping.Ping(pb.PingRequest(value="v", behaviour=behaviour), **options)
        case "PingMany":
            return ping.PingMany(pb.PingManyRequest(value="v", behaviour=behaviour, count=2), **options)
        case "PingAll":
            return ping.PingAll(stream(pb.PingAllRequest(value="v", behaviour=behaviour)), **options)
        case _:
            return ping.PingChat(stream(pb.PingChatRequest(value="v", behaviour=behaviour)), **options)


async def finish(call: Any, shape: str) -> list[Any]:
    """All messages of the reply."""
    return [message async for message in call] if shape in STREAMED_REPLY else [await call]


async def send(ping: Any, shape: str, behaviour: pb.Behaviour | None = None, **options: Any) -> list[Any]:
    """Makes a call of a shape; gives all messages of its reply."""
    return await finish(begin(ping, shape, behaviour, **options), shape)


async def failure(ping: Any, shape: str, behaviour: pb.Behaviour | None = None, **options: Any) -> ServiceError:
    """The error a call of a shape fails with."""
    with pytest.raises(ServiceError) as caught:
        await send(ping, shape, behaviour, **options)
    return caught.value


def failing(*codes: grpc.StatusCode | int, key: str = "k", **more: Any) -> pb.Behaviour:
    """Attempt n fails with the n-th code; 0 succeeds."""
    numbers = [code if isinstance(code, int) else code.value[0] for code in codes]
    return pb.Behaviour(fail_with=numbers, attempt_key=key, **more)


@asynccontextmanager
async def stranger(bench: Bench) -> AsyncIterator[grpc.aio.Channel]:
    """A channel without our chain."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bench.server.port}") as channel:
        yield channel


async def send_bytes(
    channel: grpc.aio.Channel, path: str, raw: Sequence[bytes], *, streams: str, **options: Any
) -> list[bytes]:
    """Sends raw messages to a path, as a client of a shape: `unary_stream` and so on; gives the raw replies."""
    rpc = getattr(channel, streams)(path)
    call = rpc(stream(*raw), **options) if streams.startswith("stream") else rpc(raw[0], **options)
    return [message async for message in call] if streams.endswith("stream") else [await call]


STREAMS = {"Ping": "unary_unary", "PingMany": "unary_stream", "PingAll": "stream_unary", "PingChat": "stream_stream"}
