"""A server starts whole or not at all, and ends without hurting anybody."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import drain
from trunkline import server as server_module
from trunkline.launcher.ports import free_port
from trunkline.method import ContractError
from trunkline.server import BackgroundFailed, PortInUse, Server, serve
from trunkline.service import Service
from trunkline.settings import PlatformSettings
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached, bench

from tests.trunkline.interceptors.servicers import Effects, until
from tests.trunkline.interceptors.shapes import SHAPES, failure, send


class Closed:
    """Things that are closed, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def note(self, name: str) -> Any:
        """Something to close."""

        async def close() -> None:
            self.names.append(name)

        return close


def ping(**fields: Any) -> Service:
    """A service with PingService."""
    return Service(**({"name": "ping", "servicers": [PingServicer(Reached())]} | fields))


async def test_a_port_of_somebody_else():
    """A second server on a port is refused, and closes what its service holds."""
    closed = Closed()
    async with bench() as on:
        second = Server([ping(close=[closed.note("db")])], BENCH_SETTINGS, port=on.server.port)
        with pytest.raises(PortInUse, match=str(on.server.port)):
            await second.__aenter__()
        assert closed.names == ["db"]
        assert await send(on.ping, "Ping")


class Uncontracted:
    """A servicer of nothing."""


def foreign() -> object:
    """A servicer of a contract that is not loaded."""
    base = type("OddServiceServicer", (), {"__module__": "no.such.v1.odd_service_pb2_grpc"})
    return type("Odd", (base,), {})()


@pytest.mark.parametrize(("make", "error"), [(Uncontracted, TypeError), (foreign, ContractError)])
async def test_a_servicer_without_a_contract(make, error):
    """A server does not start with methods it has no policy for; what was opened is closed."""
    closed = Closed()
    with pytest.raises(error):
        async with Server([ping(servicers=[make()], close=[closed.note("db")])], BENCH_SETTINGS):
            pass
    assert closed.names == ["db"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_drain_lets_running_calls_finish(shape):
    """Calls that run are answered; new ones are refused; then everything is closed."""
    async with bench() as on:
        running = asyncio.create_task(send(on.ping, shape, pb.Behaviour(sleep_ms=150)))
        await until(lambda: on.reached.calls[shape] == 1)
        await on.server.drain()
        assert await running
        on.channel.peer.retry = type(on.channel.peer.retry)(max_attempts=1)
        assert (await failure(on.ping, shape)).code is grpc.StatusCode.UNAVAILABLE


async def test_a_drain_does_not_wait_for_ever():
    """A handler that outlives the grace is cancelled."""
    settings = BENCH_SETTINGS.model_copy(update={"drain_s": 0.1})
    async with bench(settings=settings) as on:
        running = asyncio.create_task(send(on.ping, "PingAll", pb.Behaviour(sleep_ms=20_000)))
        await until(lambda: on.reached.calls["PingAll"] == 1)
        began = time.monotonic()
        await on.server.drain()
        assert time.monotonic() - began < 2.0
        assert on.reached.cancelled["PingAll"] == 1
        await asyncio.gather(running, return_exceptions=True)


async def test_draining_twice_is_draining_once():
    """However often and from wherever it is asked for, things are closed once, in order."""
    closed = Closed()
    first = ping(close=[closed.note("a"), closed.note("b")])
    second = Service(name="effects", servicers=[Effects()], close=[closed.note("c")])
    async with Server([first, second], BENCH_SETTINGS) as server:
        await asyncio.gather(server.drain(), server.drain())
        await server.drain()
    assert closed.names == ["a", "b", "c"]


async def test_a_drain_leaves_the_lists_first(monkeypatch):
    """As soon as it says NOT_SERVING, and while calls are still taken, it is taken off the lists of servers: all at the
    same time, and one that fails or hangs holds nothing up.
    """
    monkeypatch.setattr(drain, "LEAVE_S", 0.05)
    seen: list[object] = []

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def fails() -> None:
        raise ConnectionError("no registry")

    async def leave() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{on.server.port}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            seen.append((await health.Check(health_pb2.HealthCheckRequest())).status)
            # Our own client waits for a successor by now.
            seen.append(bool(await send(pb_grpc.PingServiceStub(channel), "Ping")))

    settings = BENCH_SETTINGS.model_copy(update={"drain_s": 0.1})
    async with asyncio.timeout(5), bench(service={"on_drain": [hangs, fails, leave]}, settings=settings) as on:
        await on.server.drain()
        assert seen == [health_pb2.HealthCheckResponse.NOT_SERVING, True]
        await on.server.drain()
    assert len(seen) == 2


async def test_one_that_cannot_be_closed_does_not_keep_the_others_open():
    """Everything is closed, then the failure is told."""
    closed = Closed()

    async def stuck() -> None:
        raise OSError("disk")

    server = Server([ping(close=[stuck, closed.note("b")])], BENCH_SETTINGS)
    await server.__aenter__()
    with pytest.raises(OSError, match="disk"):
        await server.drain()
    assert closed.names == ["b"]


async def test_several_services_in_one_process():
    """Each has its own answers and verifier; they share the port."""
    async with (
        Server([ping(), Service(name="effects", servicers=[Effects()])], BENCH_SETTINGS) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        assert await send(pb_grpc.PingServiceStub(channel), "Ping")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.EffectServiceStub(channel).Add(pb.AddRequest())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_background_work_is_told_to_stop():
    """It runs while the server does, and has returned before anything is closed."""
    seen: list[str] = []

    async def work(stop: asyncio.Event) -> None:
        seen.append("began")
        await stop.wait()
        seen.append("ended")

    async def close() -> None:
        seen.append("closed")

    async with Server([ping(background=[work], close=[close])], BENCH_SETTINGS):
        await until(lambda: seen == ["began"])
    assert seen == ["began", "ended", "closed"]


async def test_background_work_that_does_not_stop_is_cancelled(monkeypatch):
    """A relay that hangs does not keep the process alive."""
    monkeypatch.setattr(server_module, "BACKGROUND_END_S", 0.02)
    cancelled = asyncio.Event()

    async def hangs(stop: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with asyncio.timeout(3), Server([ping(background=[hangs])], BENCH_SETTINGS):
        await asyncio.sleep(0)
    assert cancelled.is_set()


async def served(service: Service, settings: PlatformSettings = BENCH_SETTINGS, port: int = 0) -> asyncio.Task[None]:
    """serve() in a task, once it serves."""
    started = asyncio.Event()

    async def tell(stop: asyncio.Event) -> None:
        started.set()
        await stop.wait()

    service.background = [*service.background, tell]
    task = asyncio.create_task(serve([service], settings, port=port))
    await asyncio.wait((task, asyncio.create_task(started.wait())), return_when=asyncio.FIRST_COMPLETED)
    return task


@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it(one):
    """serve() drains and returns; a second signal in the middle changes nothing."""
    closed = Closed()
    async with asyncio.timeout(5):
        task = await served(ping(close=[closed.note("db")]))
        signal.raise_signal(one)
        await asyncio.sleep(0)
        signal.raise_signal(one)
        await task
    assert closed.names == ["db"]


async def test_a_second_interrupt_ends_the_waiting():
    """Ctrl-C twice: calls that run are cancelled at once, and all is closed as ever; SIGTERM twice is SIGTERM once."""
    closed = Closed()
    reached = Reached()
    service = ping(servicers=[PingServicer(reached)], close=[closed.note("db")])
    ports = free_port()
    settings = BENCH_SETTINGS.model_copy(update={"drain_wait_s": 30.0, "drain_s": 30.0})
    async with asyncio.timeout(10), grpc.aio.insecure_channel(f"127.0.0.1:{ports}") as channel:
        task = await served(service, settings, ports)
        running = asyncio.create_task(send(pb_grpc.PingServiceStub(channel), "Ping", pb.Behaviour(sleep_ms=60_000)))
        await until(lambda: reached.calls["Ping"] == 1)
        for one in (signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(one)
            await asyncio.wait((task,), timeout=0.1)
        assert not task.done()
        signal.raise_signal(signal.SIGINT)
        await task
        assert (reached.cancelled["Ping"], closed.names) == (1, ["db"])
        await asyncio.gather(running, return_exceptions=True)


async def test_background_work_that_fails_ends_the_server():
    """A service without its relay only looks alive: everything is drained and closed, and the failure told."""
    closed = Closed()

    async def broken(stop: asyncio.Event) -> None:
        raise OSError("disk")

    async with asyncio.timeout(5):
        with pytest.raises(BackgroundFailed, match="disk") as caught:
            await serve([ping(background=[broken], close=[closed.note("db")])], BENCH_SETTINGS)
    assert isinstance(caught.value.__cause__, OSError)
    assert closed.names == ["db"]
