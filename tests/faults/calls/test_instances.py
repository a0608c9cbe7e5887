"""Servers that freeze, die and come back, and two addresses of one service."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import client
from trunkline.errors import ServiceError
from trunkline.policies.breaker import BreakerState
from trunkline.server import OPTIONS as SERVER_OPTIONS
from trunkline.testing.fault_modes import Refuse
from trunkline.testing.fault_proxy import LOOPBACK, FaultProxy

from tests.faults.calls.calling import HEAL_S, SOON_S, Caller, calling, failure, repeated
from tests.faults.calls.instance import Instance
from tests.faults.calls.servicers import KEY
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-calls")
OPTIONS = dict(client.OPTIONS)
NOTICED_MS = OPTIONS["grpc.keepalive_time_ms"] + max(
    OPTIONS["grpc.keepalive_timeout_ms"], OPTIONS["grpc.http2.ping_timeout_ms"]
)
"""When a dead peer is found, as shipped."""
POLL_S = 0.1


def both(*instances: Instance) -> str:
    """One target with the addresses of all, called in turn."""
    return "ipv4:" + ",".join(one.target for one in instances)


@asynccontextmanager
async def calling_both(one: Instance, other: Instance, key: str, **settings: Any) -> AsyncIterator[Caller]:
    """A caller of both, connected to both."""
    async with calling(both(one, other), **settings) as caller:

        async def connected() -> bool:
            await caller.ping(f"{key}-begin")
            return bool(served(one, f"{key}-begin") and served(other, f"{key}-begin"))

        await until(connected, "both are called")
        yield caller


def served(instance: Instance, prefix: str) -> int:
    """How many calls of a name began there."""
    return len([one for one in instance.journal.all() if one.what == "began" and one.key.startswith(prefix)])


async def polled(caller: Caller, key: str) -> float:
    """Calls every 100 ms until one succeeds; gives the instant."""
    while True:
        try:
            await caller.ping(key, timeout=2.0)
        except ServiceError:
            await asyncio.sleep(POLL_S)
        else:
            return time.monotonic()


async def test_a_server_freezes(server: Instance, victim: Instance, key: str):
    """A5: kill -STOP under an open stream: keepalive finds it as soon as its options say, calls go to the other address
    of the target, and nobody is harmed by its return.
    """
    async with calling_both(victim, server, key) as caller:
        while True:  # in turn: the second at the latest goes to the victim
            talk = caller.pings.PingChat(_one_request(key), timeout=45.0, metadata=((KEY, key),))
            assert (await talk.read()).value == key
            if victim.journal.count(key, "began"):
                break
            talk.cancel()
        victim.send(signal.SIGSTOP)
        frozen = time.monotonic()
        with pytest.raises(ServiceError, match="PEER_UNREACHABLE"):
            await talk.read()
        assert time.monotonic() - frozen < NOTICED_MS / 1000 + SOON_S
        for number in range(10):
            await caller.ping(f"{key}-elsewhere-{number}")
        assert served(server, f"{key}-elsewhere") == 10
        victim.send(signal.SIGCONT)
        await until(lambda: not victim.journal.running(), "the frozen handler has ended")
        await caller.is_well()
    async with calling(victim.target) as caller:
        await caller.is_well()


def test_a_frozen_server_is_found_as_shipped():
    """A5: all options that it takes are set, so that a dead peer is found within 5 s; gRPC's own take 60 and more, and
    the server allows pings as frequent as these.
    """
    assert NOTICED_MS <= 5_000
    allowed = dict(SERVER_OPTIONS)["grpc.http2.min_ping_interval_without_data_ms"]
    assert 2 * allowed <= OPTIONS["grpc.keepalive_time_ms"]


async def test_a_server_comes_back(victim: Instance, key: str):
    """A6: killed, down for long enough that the channel waits longest, and started again: two seconds after it serves,
    calls polled every 100 ms succeed, with the breaker as shipped.
    """
    async with calling(victim.target) as caller:
        await caller.ping(f"{key}-before")
        victim.kill()
        down = time.monotonic()
        first = asyncio.create_task(polled(caller, key))
        # 100 ms, growing by 1.6 to a second: after 2.6 s the longest waits have begun.
        await until(lambda: time.monotonic() - down > 4.0, "the channel waits longest", 5.0)
        assert not first.done()
        serving = await asyncio.to_thread(victim.start)
        assert await first - serving < 2.0
        await caller.is_well()


async def test_a_server_comes_back_to_an_open_breaker(server: Instance, key: str):
    """A6: a breaker that opened because nobody was there lets a probe through as soon as the connection stands again,
    however long it would stay open.
    """
    async with FaultProxy(LOOPBACK, server.port) as proxy, calling(proxy.target, breaker_open_s=60.0) as caller:
        await caller.ping(f"{key}-before")
        await proxy.set(Refuse())
        await proxy.reset_connections()
        first = asyncio.create_task(polled(caller, key))
        breaker = caller.channel.peer.breakers["/trunk.testing.v1.PingService/Ping"]
        await until(lambda: breaker.state is BreakerState.OPEN, "the breaker is open")
        await proxy.heal()
        healed = time.monotonic()
        assert await first - healed < SOON_S + 2.0
        await caller.is_well()


async def test_one_of_two_is_killed_with_calls_in_flight(server: Instance, victim: Instance, key: str):
    """B4: kill -9 of one instance under 50 calls, half of them there: the breaker takes them for one failure, and all
    are answered by the other.
    """
    async with calling_both(victim, server, key, retry_budget_ratio=1.0) as caller:
        slow = asyncio.gather(*(caller.ping(f"{key}-slow-{number}", sleep_ms=1500) for number in range(50)))
        await until(lambda: served(victim, f"{key}-slow") == served(server, f"{key}-slow") == 25, "all have arrived")
        await asyncio.to_thread(victim.kill)
        await slow
        assert served(server, f"{key}-slow") == 50
        await caller.is_well()


async def test_one_of_two_is_killed(server: Instance, victim: Instance, key: str):
    """A17: of two addresses one dies by kill -9: all further calls succeed at the other, each at the first attempt, and
    both are called again once it is back.
    """
    async with calling_both(victim, server, key) as caller:
        await asyncio.to_thread(victim.kill)
        await caller.ping(f"{key}-notices")
        for number in range(20):
            await caller.once(f"{key}-then-{number}")
        assert served(server, f"{key}-then") == 20
        await asyncio.to_thread(victim.start)

        async def back() -> bool:
            await caller.ping(f"{key}-back")
            return bool(served(victim, f"{key}-back"))

        await until(back, "the one that came back is called")
        await caller.is_well()


async def test_one_of_two_only_fails(server: Instance, victim: Instance, key: str):
    """A17: of two instances behind one target one only fails: every call succeeds by its repeat, the bad one is ejected
    by gRPC and gets none, the breaker stays closed, and once it is well again it is called again.
    """
    async with calling_both(victim, server, key, retry_budget_ratio=1.0) as caller:
        victim.send(signal.SIGHUP)
        await until(lambda: victim.journal.last("failing") is not None, "it fails")

        async def left_alone() -> bool:
            before = served(victim, key)
            for _ in range(20):
                await caller.ping(f"{key}-ill")
            return served(victim, key) == before

        await until(left_alone, "the bad one is ejected")
        breaker = caller.channel.peer.breakers["/trunk.testing.v1.PingService/Ping"]
        assert (breaker.state, breaker.generation) == (BreakerState.CLOSED, 0)
        victim.send(signal.SIGUSR2)

        async def back() -> bool:
            await caller.ping(f"{key}-well")
            return bool(served(victim, f"{key}-well"))

        await until(back, "the one that is well again is called", HEAL_S)
        await caller.is_well()


async def test_both_only_fail(server: Instance, victim: Instance, key: str):
    """A17: where all instances of a target fail, its breaker opens after five failures for each."""
    async with calling_both(victim, server, key, retry_attempts=1, breaker_open_s=0.5) as caller:
        for number in range(20):
            await failure(caller.ping(f"{key}-both-{number}", fail_with=repeated(grpc.StatusCode.UNAVAILABLE)))
        assert served(victim, f"{key}-both") + served(server, f"{key}-both") == 10
        await caller.once(f"{key}-once")
        await caller.is_well()


async def _one_request(key: str) -> AsyncIterator[pb.PingChatRequest]:
    yield pb.PingChatRequest(value=key)
    await asyncio.Event().wait()
