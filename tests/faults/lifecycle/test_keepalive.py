"""Both ends look whether the other is there, as often as the other end allows."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1.ping_service_pb2_grpc import PingServiceStub
from trunkline import server
from trunkline.errors import ServiceError
from trunkline.testing.fault_modes import Freeze
from trunkline.testing.fault_proxy import LOOPBACK, FaultProxy
from trunkline.testing.ping import bench

from tests.faults.calls.calling import SOON_S, Caller, calling
from tests.faults.calls.servicers import KEY
from tests.faults.lifecycle.running import Running
from tests.shop.waiting import until
from tests.trunkline.interceptors.shapes import send

pytestmark = pytest.mark.xdist_group("fault-keepalive")
LONG = bool(os.environ.get("FAULTS_LONG"))
"""Set, the cases take the time that their catalogue names; unset, as many pings as it takes to see the fault."""
IDLE_S, SILENT_S = (600, 300) if LONG else (4, 9)
FOUND_S = 5.0
"""A dead peer is found within so many seconds, and calls go elsewhere."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """Two servers, as services are run."""
    folder = tmp_path_factory.mktemp("pair")
    with Running(folder / "one") as one, Running(folder / "other") as other:
        yield one, other


async def opened(caller: Caller, key: str) -> Any:
    """A stream of both ways that has been answered once."""

    async def requests() -> AsyncIterator[pb.PingChatRequest]:
        yield pb.PingChatRequest(value=key)
        await asyncio.Event().wait()

    talk = caller.pings.PingChat(requests(), timeout=50.0, metadata=((KEY, key),))
    assert (await talk.read()).value == key
    return talk


async def test_a_server_freezes_under_a_silent_stream(pair: tuple[Running, Running], key: str):
    """A5: kill -STOP of a server whose stream has been silent for longer than gRPC's own two pings: within 5 s the
    caller knows, a new call is answered by the other server, and after SIGCONT all is well.
    """
    async with calling(f"ipv4:{pair[0].target},{pair[1].target}") as caller:
        talk = await opened(caller, key)
        await until(lambda: any(one.journal.count(key, "began") for one in pair), "the stream is open")
        victim, other = pair if pair[0].journal.count(key, "began") else reversed(pair)
        silent = asyncio.ensure_future(talk.read())
        await asyncio.wait((silent,), timeout=4.5)
        assert not silent.done()
        victim.send(signal.SIGSTOP)
        frozen = time.monotonic()
        try:
            with pytest.raises(ServiceError, match="PEER_UNREACHABLE"):
                await silent
            await caller.ping(f"{key}-elsewhere", timeout=5.0)
            assert time.monotonic() - frozen < FOUND_S + SOON_S
            assert other.journal.count(f"{key}-elsewhere", "began") == 1
        finally:
            victim.send(signal.SIGCONT)
        await until(lambda: not victim.journal.running(), "the frozen handler has ended")
        await caller.is_well()


async def test_a_long_silent_call_is_not_cut_off(pair: tuple[Running, Running], key: str):
    """C17: a connection that is idle, and then carries one call that is silent for many pings: never too_many_pings.
    FAULTS_LONG=1 idles for ten minutes, with streams that are silent for five in all.
    """
    async with calling(pair[0].target, retry_attempts=1) as caller:
        await caller.ping(f"{key}-first")
        await asyncio.sleep(IDLE_S)  # nothing happens: that is the subject
        began = time.monotonic()
        while time.monotonic() - began < SILENT_S:
            length_ms = min(SILENT_S, 45) * 1000
            assert await caller.ping(f"{key}-silent", timeout=50.0, sleep_ms=length_ms)
        peers = [one.key for one in pair[0].journal.all() if one.what == "peer"]
        assert len(set(peers[-2:])) == 1
        await caller.is_well()


async def test_a_caller_is_gone_without_a_word(monkeypatch: pytest.MonkeyPatch):
    """A caller whose machine is gone: the server's own pings find it, and the handler it waits for is cancelled. (The
    options are set to half a second.)
    """
    quick = {"grpc.keepalive_time_ms": 500, "grpc.keepalive_timeout_ms": 500, "grpc.http2.ping_timeout_ms": 500}
    assert quick.keys() <= dict(server.OPTIONS).keys()
    monkeypatch.setattr(server, "OPTIONS", tuple((dict(server.OPTIONS) | quick).items()))
    async with bench() as on, FaultProxy(LOOPBACK, on.server.port) as proxy:
        async with grpc.aio.insecure_channel(proxy.target) as channel:
            running = asyncio.ensure_future(send(PingServiceStub(channel), "Ping", pb.Behaviour(sleep_ms=40_000)))
            await until(lambda: on.reached.calls["Ping"] == 1, "the handler runs")
            await proxy.set(Freeze())
            await until(lambda: on.reached.cancelled["Ping"] == 1, "it is cancelled", 10.0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert await send(on.ping, "Ping")
