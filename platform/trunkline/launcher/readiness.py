"""Whether ports are free before a start, and whether everything answers after it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import grpc
import redis.asyncio
import redis.exceptions
from grpc_health.v1 import health_pb2, health_pb2_grpc

from trunkline.given import SENTINEL_SCHEME
from trunkline.launcher.system import LOCAL_HOST, LaunchError
from trunkline.redis_master import pool_at_master
from trunkline.tls import TlsFiles, read

POLL_S = 0.05
"""Seconds between two looks."""
ASK_S = 1.0
"""Seconds one question may take."""
_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100))


def require_free(ports: Mapping[str, int]) -> None:
    """Lets a start go on only if nobody listens on the ports.

    Raises:
        LaunchError: somebody does; the text names the ports.
    """
    taken = [f"{port} ({name})" for name, port in ports.items() if not is_free(port)]
    if taken:
        word = "port" if len(taken) == 1 else "ports"
        raise LaunchError(f"{word} {', '.join(taken)} in use by another process: end it, or choose other ports")


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of an earlier system may linger in TIME_WAIT; only a listener counts.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL_HOST, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


async def wait_serving(address: str, name: str = "", tls: TlsFiles | None = None) -> None:
    """Returns when the service at host:port says SERVING; waits as long as it takes, so give it a bound.

    Args:
        address: where.
        name: of the service; with TLS its certificate must hold it.
        tls: certificates of whoever asks; None: plaintext.
    """
    async with channel_to(address, name, tls) as channel:
        while True:
            if await _serving(channel):
                return
            await asyncio.sleep(POLL_S)


async def is_serving(address: str, name: str = "", tls: TlsFiles | None = None) -> bool:
    """Whether the service at host:port says SERVING now; with TLS as in wait_serving."""
    async with channel_to(address, name, tls) as channel:
        return await _serving(channel)


def channel_to(address: str, name: str, tls: TlsFiles | None) -> grpc.aio.Channel:
    """A plain channel to a service, for whoever only asks how it is; arguments as for wait_serving.

    Raises:
        TlsRefused: the certificates cannot be read.
    """
    if tls is None:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    named = (*_OPTIONS, ("grpc.ssl_target_name_override", name))
    return grpc.aio.secure_channel(address, read(tls).channel_credentials(), options=named)


async def _serving(channel: grpc.aio.Channel) -> bool:
    stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs know no methods
    request = health_pb2.HealthCheckRequest()
    try:
        answer = await stub.Check(request, timeout=ASK_S, wait_for_ready=True)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def place(url: str) -> str:
    """Host and port of a URL, without the password that may stand in it."""
    parts = urlsplit(url)
    if url.startswith(SENTINEL_SCHEME):
        return parts.netloc.rpartition("@")[2]
    return f"{parts.hostname or LOCAL_HOST}:{parts.port or 6379}" if parts.scheme != "unix" else parts.path


async def wait_redis(url: str) -> None:
    """Returns when a Redis-compatible server answers; waits as long as it takes, so give it a bound.

    Raises:
        LaunchError: it refuses the password.
    """
    pool = pool_at_master(url, socket_timeout=ASK_S, socket_connect_timeout=ASK_S)
    async with redis.asyncio.Redis.from_pool(pool) as client:
        while True:
            try:
                await client.ping()
            except redis.exceptions.AuthenticationError as error:
                raise LaunchError(f"Redis at {place(url)} refuses what REDIS_URL says: {error}") from None
            except (redis.exceptions.RedisError, OSError):
                await asyncio.sleep(POLL_S)
            else:
                return
