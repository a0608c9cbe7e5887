"""What a server says of itself: only its own database decides, and everybody can watch."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from trunkline import health
from trunkline.health import LIVENESS
from trunkline.testing.ping import BENCH_SETTINGS, Bench, bench

from tests.trunkline.interceptors.shapes import stranger, stream

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PING = "trunk.testing.v1.PingService"


async def until_not_serving(channel: grpc.aio.Channel) -> None:
    """Returns when the server says that it does not serve."""
    async with asyncio.timeout(3):
        while await status(channel) == SERVING:  # noqa: ASYNC110 - what changes is on the other side of the wire
            await asyncio.sleep(0.005)


class Part:
    """Something a server needs: answers until it is switched off."""

    def __init__(self) -> None:
        self.alive = True

    async def __call__(self) -> None:
        """Raises while it is off."""
        if not self.alive:
            raise ConnectionError("off")


async def status(channel: grpc.aio.Channel, name: str = "") -> Any:
    """What is said under a name."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status


async def test_names():
    """The empty name and each gRPC service; a name of nothing is NOT_FOUND."""
    async with bench() as on, stranger(on) as channel:
        assert [await status(channel, name) for name in ("", PING)] == [SERVING, SERVING]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await status(channel, "no.such.Service")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_liveness_is_another_question():
    """A process is alive without its database and while it drains: restarting it would mend neither."""
    database = Part()
    database.alive = False
    settings = BENCH_SETTINGS.model_copy(update={"drain_wait_s": 30.0})
    async with bench(service={"gate": database}, settings=settings) as on, stranger(on) as channel:
        assert [await status(channel, name) for name in ("", LIVENESS)] == [NOT_SERVING, SERVING]
        database.alive = True
        await on.server.health.check()
        drain = asyncio.create_task(on.server.drain())
        await until_not_serving(channel)
        await on.server.health.check()
        assert [await status(channel, name) for name in ("", LIVENESS)] == [NOT_SERVING, SERVING]
        for _ in range(2):
            on.server.interrupt()
        await drain


async def test_a_watcher_that_does_not_read_holds_nobody_up(monkeypatch):
    """Telling one takes no longer than a bound; the others are told, and what it missed is told at the next look."""
    monkeypatch.setattr(health, "TELL_S", 0.02)
    database = Part()
    async with bench(service={"gate": database}) as on, stranger(on) as channel:
        servicer: Any = on.server.health._servicer
        async with servicer._server_watchers[PING]:  # as one that waits for its reader
            database.alive = False
            await on.server.health.check()
            assert [await status(channel, name) for name in ("", PING)] == [NOT_SERVING, SERVING]
        await on.server.health.check()
        assert await status(channel, PING) == NOT_SERVING


async def test_only_the_own_database_gates():
    """Dependencies are told under their own names and never gate; the database gates everything but them."""
    database, redis, peer = Part(), Part(), Part()
    parts = {"db": database, "redis": redis, "item": peer}
    async with bench(service={"gate": database, "dependencies": parts}) as on, stranger(on) as channel:

        async def told() -> list[bool]:
            await on.server.health.check()
            return [await status(channel, name) == SERVING for name in ("", PING, "dep.db", "dep.redis", "dep.item")]

        assert await told() == [True, True, True, True, True]
        redis.alive = peer.alive = False
        assert await told() == [True, True, True, False, False]
        redis.alive, database.alive = True, False
        assert await told() == [False, False, False, True, False]
        database.alive = peer.alive = True
        assert await told() == [True, True, True, True, True]


async def test_a_server_that_cannot_work_does_not_say_that_it_serves():
    """The first look is taken before the port answers."""
    database = Part()
    database.alive = False
    async with bench(service={"gate": database}) as on, stranger(on) as channel:
        assert await status(channel) == NOT_SERVING


async def test_a_check_that_hangs_has_failed(monkeypatch):
    """A database that does not answer in time does not answer."""
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.01)

    async def hangs() -> None:
        await asyncio.Event().wait()

    async with bench(service={"gate": hangs}) as on, stranger(on) as channel:
        assert await status(channel) == NOT_SERVING


async def test_it_looks_again_by_itself(monkeypatch):
    """Nobody has to ask: a change is seen within an interval."""
    monkeypatch.setattr(health, "CHECK_INTERVAL_S", 0.01)
    database = Part()
    async with bench(service={"gate": database}) as on, stranger(on) as channel:
        database.alive = False
        await until_not_serving(channel)


async def watched(call: Any) -> Any:
    """The next status of a watch."""
    return (await call.read()).status


async def test_watch_sees_every_change_and_the_drain():
    """A watcher is told both flips, then NOT_SERVING at the drain; then its stream ends, and holds nothing up."""
    database = Part()
    settings = BENCH_SETTINGS.model_copy(update={"drain_wait_s": 0.05, "drain_s": 30.0})
    async with bench(service={"gate": database}, settings=settings) as on, stranger(on) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        call = stub.Watch(health_pb2.HealthCheckRequest(service=PING))
        assert await watched(call) == SERVING
        for alive, expected in ((False, NOT_SERVING), (True, SERVING)):
            database.alive = alive
            await on.server.health.check()
            assert await watched(call) == expected
        async with asyncio.timeout(5):
            drain = asyncio.create_task(on.server.drain())
            assert await watched(call) == NOT_SERVING
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
            await drain


async def test_a_watch_may_be_cancelled():
    """A watcher that goes away leaves nothing behind, and the next one is served."""
    async with bench() as on, stranger(on) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for _ in range(3):
            call = stub.Watch(health_pb2.HealthCheckRequest())
            assert await watched(call) == SERVING
            call.cancel()


async def test_draining_is_for_good():
    """Once it drains, no check says that it serves again."""
    settings = BENCH_SETTINGS.model_copy(update={"drain_wait_s": 0.2})
    async with bench(settings=settings) as on, stranger(on) as channel:
        await status(channel)
        drain = asyncio.create_task(on.server.drain())
        await until_not_serving(channel)
        await on.server.health.check()
        assert await status(channel) == NOT_SERVING
        await drain


async def services_reflected(on: Bench) -> list[str]:
    """What reflection lists."""
    async with stranger(on) as channel:
        made: Any = reflection_pb2_grpc.ServerReflectionStub
        stub = made(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = [answer async for answer in stub.ServerReflectionInfo(stream(asked))]
        return [service.name for service in answers[0].list_services_response.service]


async def test_reflection_in_development_only():
    """In development tools find the contracts; elsewhere nobody answers them."""
    development = BENCH_SETTINGS.model_copy(update={"profile": "development"})
    async with bench(settings=development) as on:
        assert PING in await services_reflected(on)
    for profile in ("test", "production"):
        async with bench(settings=BENCH_SETTINGS.model_copy(update={"profile": profile})) as on:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await services_reflected(on)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
