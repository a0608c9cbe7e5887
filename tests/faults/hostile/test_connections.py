"""Connections on which nobody speaks gRPC, and more of them than there is room for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.testing.fault_proxy import LOOPBACK

from tests.faults.hostile.conftest import FULL, recovered, under_fault
from tests.faults.hostile.peer import Peer, headers_of
from tests.faults.hostile.victim import Victim
from tests.shop.waiting import until

SILENT = 2000
CLOSED_S = 10.0
"""Seconds within which a connection must be closed on which no HTTP/2 comes; as shipped it is half of it."""


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A server as shipped, but for the time it waits: seconds of it are seconds of each case."""
    with Victim(tmp_path_factory.mktemp("victim"), handshake_timeout_s=5.0 if FULL else 1.5) as running:
        yield running


def client_hello() -> bytes:
    """What a TLS client says first."""
    context, incoming, outgoing = ssl.create_default_context(), ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        talk.do_handshake()
    return outgoing.read()


WORDS = {
    "random": bytes(range(256)) * 16,
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.1 that asks for HTTP/2": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "a preface cut short": b"PRI * HTTP/2.0\r\n\r\nSM",
    "a preface alone": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "one byte": b"P",
    "TLS": client_hello(),
}


@pytest.mark.parametrize("words", WORDS)
async def test_strangers(victim: Victim, words: str):
    """C7: whoever speaks something else is closed, and a hundred of them fill no log."""

    async def speak() -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, victim.port)
        writer.write(WORDS[words])
        async with asyncio.timeout(CLOSED_S):
            try:
                while await reader.read(1 << 16):
                    pass
            except ConnectionError:
                pass
        writer.close()

    async with under_fault(victim) as fault:
        await asyncio.gather(*(speak() for _ in range(100)))
    assert fault.handled == 0


async def test_a_caller_that_wants_tls(victim: Victim):
    """C7: a caller that wants TLS of a server without it fails, UNAVAILABLE, and harms nobody."""
    async with under_fault(victim) as fault:
        async with grpc.aio.secure_channel(victim.target, grpc.ssl_channel_credentials()) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await pb_grpc.PingServiceStub(channel).Ping(pb.PingRequest(), timeout=2.0)
        assert failure.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert fault.handled == 0


@contextmanager
def silence(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections on which nothing is said."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection((LOOPBACK, port), timeout=10)) for _ in range(count)]


async def test_silent_connections(victim: Victim):
    """C8: 2000 silent connections: calls go on, on old connections and on new ones; the silent ones are closed."""
    async with under_fault(victim) as fault:
        with silence(victim.port, SILENT):
            await recovered(victim)
            assert victim.fds() > SILENT
            await until(lambda: victim.fds() < fault.before.fds + 20, "silent connections are closed", CLOSED_S)
    assert fault.handled == 1


@pytest.mark.parametrize("descriptors", [128, 256])
async def test_more_connections_than_descriptors(tmp_path: Path, descriptors: int):
    """C8, H5: with `ulimit -n` of 256 and of 128, and more silent connections than that: who is connected is served,
    files can be opened, the rest is refused; within 5 s after the flood a new connection is taken.
    """
    with Victim(tmp_path, descriptors=descriptors) as victim:
        async with under_fault(victim):
            with silence(victim.port, 2 * descriptors if not FULL else SILENT):
                await asyncio.sleep(1.0)
                assert victim.fds() < descriptors - 20
            await recovered(victim, within_s=5.0)


async def test_connections_beyond_the_setting(tmp_path: Path):
    """C8: of connections beyond `max_connections` each is closed at once; where one leaves, the next one is taken."""
    with Victim(tmp_path, max_connections=10, handshake_timeout_s=60) as victim:
        async with Peer(victim.port) as first:
            with silence(victim.port, 40):
                await until(lambda: victim.fds() < 45, "those beyond are closed", CLOSED_S)
                async with Peer(victim.port) as late:
                    assert late.closed
                assert (await first.call(headers_of())).status == 0
            await recovered(victim)
        assert victim.bad_lines(0) == []
