"""Mutual TLS between our client and our server: who is refused, and certificates that change under calls."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.server import Server
from trunkline.service import Service
from trunkline.settings import PlatformSettings
from trunkline.testing.certificates import Authority, write
from trunkline.testing.fault_proxy import LOOPBACK
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached
from trunkline.tls import TlsFiles

from tests.faults.lifecycle.running import Running
from tests.shop.waiting import until

NOBODY = ssl.create_default_context()
NOBODY.check_hostname, NOBODY.verify_mode = False, ssl.CERT_NONE
NOBODY.set_alpn_protocols(["h2"])
"""A client without a certificate that trusts everybody."""


def gone(peer: socket.socket) -> None:
    """Returns when the other side has closed, as it must."""
    peer.settimeout(10.0)
    with suppress(ConnectionError, ssl.SSLError):
        while peer.recv(1024):
            pass


def with_tls(files: TlsFiles) -> PlatformSettings:
    """Settings of a process with these certificates."""
    told = {"tls_cert_file": files.certificate, "tls_key_file": files.key, "tls_ca_file": files.authority}
    return BENCH_SETTINGS.model_copy(update=told)


@pytest.fixture
def authority() -> Authority:
    """Whom both ends trust."""
    return Authority()


@asynccontextmanager
async def serving(files: TlsFiles) -> AsyncIterator[tuple[Server, Reached]]:
    """A server with these certificates."""
    reached = Reached()
    service = Service(name="ping", servicers=[PingServicer(reached)])
    async with Server([service], with_tls(files)) as server:
        yield server, reached


@asynccontextmanager
async def calling(server: Server, files: TlsFiles, *, name: str = "ping") -> AsyncIterator[Any]:
    """A stub of a process with these certificates, which takes the server for the service of a name."""
    target = f"ipv4:127.0.0.1:{server.port}"
    async with connect(name, target=target, settings=with_tls(files)) as channel:
        yield pb_grpc.PingServiceStub(channel)


async def refused(stub: Any) -> None:
    """Demands that no connection comes about."""
    with pytest.raises(ServiceError, match="PEER_UNREACHABLE"):
        await stub.Ping(pb.PingRequest(), timeout=2.0)


async def test_both_ends_know_each_other(authority: Authority, tmp_path: Path):
    """D15: certificates of the same authority: calls pass, and plaintext is refused."""
    async with serving(write(tmp_path, "ping", authority)) as (server, reached):
        async with calling(server, write(tmp_path, "cart", authority)) as stub:
            assert (await stub.Ping(pb.PingRequest(value="v"))).value == "v"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as plain:
            with pytest.raises(grpc.aio.AioRpcError):
                await pb_grpc.PingServiceStub(plain).Ping(pb.PingRequest(), timeout=2.0)
        async with grpc.aio.secure_channel(
            f"127.0.0.1:{server.port}",
            grpc.ssl_channel_credentials(authority.pem),
            options=[("grpc.ssl_target_name_override", "ping")],
        ) as nameless:
            with pytest.raises(grpc.aio.AioRpcError):
                await pb_grpc.PingServiceStub(nameless).Ping(pb.PingRequest(), timeout=2.0)
        assert reached.calls["Ping"] == 1


async def test_who_is_refused(authority: Authority, tmp_path: Path):
    """D15: a client of another authority, or with an expired certificate, and a server that is another service or of
    another authority: no handler runs, and the next honest call passes.
    """
    other = Authority("other")
    async with serving(write(tmp_path, "ping", authority)) as (server, reached):
        stranger = write(tmp_path / "stranger", "cart", other, authority)
        # Trusts the server's authority; its own certificate is of one that the server does not trust.
        async with calling(server, stranger) as stub:
            await refused(stub)
        async with calling(server, write(tmp_path / "late", "cart", authority, days=-1)) as stub:
            await refused(stub)
        async with calling(server, write(tmp_path, "cart", authority), name="stock") as stub:
            await refused(stub)
        async with calling(server, write(tmp_path / "trusts-other", "cart", other)) as stub:
            await refused(stub)
        assert reached.calls["Ping"] == 0
        async with calling(server, write(tmp_path, "cart", authority)) as stub:
            await stub.Ping(pb.PingRequest())


def test_strangers_fill_no_log(authority: Authority, tmp_path: Path):
    """C7: of a hundred handshakes that fail, and a hundred peers without TLS, a server says nothing, and serves on."""
    files = write(tmp_path, "ping", authority)
    tls = {"CERT": files.certificate, "KEY": files.key, "CA": files.authority}
    running = Running(tmp_path / "run", module="trunkline.testing.ping_program")
    running.environment |= {f"TRUNKLINE_TLS_{name}_FILE": str(path) for name, path in tls.items()}
    running.environment["PING_PORT"] = str(running.port)
    with running:
        before = running.log
        for _ in range(100):
            with socket.create_connection((LOOPBACK, running.port)) as plain:
                plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                gone(plain)
            nobody = socket.create_connection((LOOPBACK, running.port))
            with NOBODY.wrap_socket(nobody) as wrapped:
                gone(wrapped)
        credentials = grpc.ssl_channel_credentials(
            authority.pem, files.key.read_bytes(), files.certificate.read_bytes()
        )
        options = [("grpc.ssl_target_name_override", "ping")]
        with grpc.secure_channel(running.target, credentials, options=options) as channel:
            assert pb_grpc.PingServiceStub(channel).Ping(pb.PingRequest(value="v"), timeout=10.0).value == "v"
        assert running.log.removeprefix(before).splitlines() == []


@dataclass
class Calls:
    """A caller that calls all the time."""

    stub: Any
    channel: Any
    answered: int = 0

    async def go_on(self) -> None:
        """Calls until it is cancelled; the first failure ends it."""
        while True:
            await self.stub.Ping(pb.PingRequest(), timeout=5.0)
            self.answered += 1
            await asyncio.sleep(0.01)

    async def goes_over(self, task: asyncio.Task[None], since: int) -> None:
        """Returns when the channel was replaced and twenty more calls are answered; or the task has failed."""
        await until(lambda: task.done() or self.channel.replaced > since, "the channel is replaced", 10)
        answered = self.answered
        await until(lambda: task.done() or self.answered > answered + 20, "calls go on", 10)


async def test_certificates_change_under_calls(authority: Authority, tmp_path: Path):
    """D15: both ends go over to another authority in the three steps that need no pause, under calls all the time: none
    fails, and in the end the first authority is refused.
    """
    following = Authority("following")
    ping, cart = write(tmp_path, "ping", authority), write(tmp_path, "cart", authority)
    before = write(tmp_path / "before", "old", authority)
    async with serving(ping) as (server, _):
        target = f"ipv4:127.0.0.1:{server.port}"
        async with connect("ping", target=target, settings=with_tls(cart)) as channel:
            calls = Calls(pb_grpc.PingServiceStub(channel), channel)
            task = asyncio.create_task(calls.go_on())
            # Trust both; then show the new one; then trust it alone.
            for signer, *trusted in ([authority, following], [following, authority], [following]):
                since = channel.replaced
                for name in ("ping", "cart"):
                    write(tmp_path, name, signer, *trusted)
                await calls.goes_over(task, since)
            assert not task.done(), task
            task.cancel()
            await asyncio.wait({task})

        async def old_is_refused() -> bool:
            async with calling(server, before) as old:
                try:
                    await old.Ping(pb.PingRequest(), timeout=1.0)
                except ServiceError:
                    return True
            return False

        await until(old_is_refused, "the first authority is refused", 10)
