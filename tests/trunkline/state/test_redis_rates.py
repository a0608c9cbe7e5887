"""Rate limits that processes share, on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from trunkline.clock import SYSTEM_CLOCK
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.policies.rate import Ask, RateLimit
from trunkline.state import redis_rates
from trunkline.state.addresses import database_url
from trunkline.state.redis_rates import ANSWER_S, DATABASE, PREFIX, RedisRates
from trunkline.testing.fault_modes import Latency, Refuse
from trunkline.testing.fault_proxy import FaultProxy

from tests.shop.waiting import until

SLOW = RateLimit(0.5, 5)
GENEROUS_S = 1.0
"""What a step may take on a crowded machine where some milliseconds are meant."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is away when it is, not when the machine is crowded; looks come soon."""
    monkeypatch.setattr(redis_rates, "ANSWER_S", 0.2)
    monkeypatch.setattr(redis_rates, "BACKOFF_S", (0.05, 0.2))


@asynccontextmanager
async def rates(url: str) -> AsyncIterator[RedisRates]:
    """Those of one process."""
    found = RedisRates(url, SYSTEM_CLOCK)
    try:
        yield found
    finally:
        await found.close()


async def ask(of: RedisRates, *asks: Ask) -> float:
    """Seconds until the call would pass."""
    found = of.ask(asks)
    return await found if isinstance(found, Awaitable) else found


async def passed(of: RedisRates, key: str, calls: int, limit: RateLimit = SLOW) -> int:
    """How many of some calls at once pass."""
    waits = await asyncio.gather(*(ask(of, Ask(key, limit, 1)) for _ in range(calls)))
    return waits.count(0.0)


async def test_processes_share_a_limit(own_server: EmbeddedRedis):
    """Of twenty calls at two of them the burst passes, once; others are told when to come."""
    async with rates(own_server.url) as one, rates(own_server.url) as other:
        found = await asyncio.gather(passed(one, "acme", 10), passed(other, "acme", 10))
        assert sum(found) == SLOW.burst
        assert 0 < await ask(other, Ask("acme", SLOW, 1)) <= 2.0
        assert await passed(other, "rival", 1) == 1


async def test_a_call_that_one_limit_refuses_costs_nothing_at_the_other(own_server: EmbeddedRedis):
    """As in memory."""
    async with rates(own_server.url) as one:
        both = [Ask("tenant", SLOW, 1), Ask("method", RateLimit(0.5, 1), 1)]
        assert await ask(one, *both) == 0
        assert [await ask(one, *both) > 0 for _ in range(5)] == [True] * 5
        assert await passed(one, "tenant", 10) == SLOW.burst - 1


async def test_keys_are_few_and_expire(own_server: EmbeddedRedis):
    """In a database of their own, under a prefix, and no longer than the caller owes."""
    async with rates(own_server.url) as one, Redis.from_url(database_url(own_server.url, DATABASE)) as client:
        await passed(one, "acme", 3)
        assert await client.keys("*") == [f"{PREFIX}acme".encode()]
        assert 5_000 <= await client.pttl(f"{PREFIX}acme") <= 7_100


async def test_it_uses_commands_of_old_servers(own_server: EmbeddedRedis):
    """A script that a server has forgotten is sent again."""
    async with rates(own_server.url) as one, Redis.from_url(own_server.url) as client:
        assert await passed(one, "acme", 1) == 1
        await client.script_flush()
        assert await passed(one, "acme", 1) == 1
        assert one.decided_by == "redis"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 12)), min_size=1, max_size=20))
def test_it_decides_as_in_memory(tmp_path, costs: Sequence[tuple[int, int]]):
    """Bursts, costs beyond the burst, and waits: the script and the pure policy say the same."""
    from trunkline.policies.rate import RateBook

    # The script's time goes on while calls are made: a rate of next to nothing makes that as good as standing still.
    limit, book = RateLimit(0.001, 6), RateBook()

    async def decided() -> list[bool]:
        async with rates(_SERVER.url) as one:
            key = f"{time.monotonic_ns()}"
            return [await ask(one, Ask(f"{key}-{who}", limit, cost)) == 0 for who, cost in costs]

    assert asyncio.run(decided()) == [book.ask([Ask(str(who), limit, cost)], 1000.0) == 0 for who, cost in costs]


_SERVER: EmbeddedRedis


@pytest.fixture(scope="module", autouse=True)
def _shared(tmp_path_factory: pytest.TempPathFactory):
    global _SERVER
    _SERVER = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    asyncio.run(_SERVER.start())
    yield
    asyncio.run(_SERVER.stop())


async def test_the_store_is_down(own_server: EmbeddedRedis, lines):
    """F14: each process holds the limit alone, at once; it is told once, and once when it is shared again."""
    async with rates(own_server.url) as one:
        assert await passed(one, "acme", 3) == 3
        own_server.kill()
        began = time.monotonic()
        # What it has granted before counts here too: an outage is no second burst.
        assert await passed(one, "acme", 20) == SLOW.burst - 3
        assert time.monotonic() - began < GENEROUS_S
        assert one.decided_by == "local"
        assert not isinstance(one.ask([Ask("acme", SLOW, 1)]), Awaitable)
        await own_server.start()
        await until(lambda: one.decided_by == "redis", "it is shared again", 10.0)
        assert await passed(one, "acme", 20) == SLOW.burst
    assert [line["log_level"] for line in lines] == ["warning", "info"]


async def test_nobody_waits_for_a_store_that_was_never_there():
    """F14: the first calls wait for it as long as a call may, later ones not at all."""
    async with rates("redis://127.0.0.1:9/0") as one:
        assert await passed(one, "acme", 20) == SLOW.burst
        assert not isinstance(one.ask([Ask("acme", SLOW, 1)]), Awaitable)


async def test_a_slow_store(own_server: EmbeddedRedis, proxy: FaultProxy, lines):
    """F13: 300 ms more: calls of that moment wait for so long, later ones not at all, until it is fast again."""
    async with rates(f"redis://{proxy.target}/0") as one:
        assert await passed(one, "acme", 1) == 1
        await proxy.set(Latency(0.3))
        began = time.monotonic()
        await passed(one, "acme", 5)
        assert time.monotonic() - began < redis_rates.ANSWER_S + GENEROUS_S
        assert one.decided_by == "local"
        waited = [isinstance(one.ask([Ask("acme", SLOW, 1)]), Awaitable) for _ in range(100)]
        assert waited == [False] * 100
        await proxy.heal()
        await until(lambda: one.decided_by == "redis", "it is shared again", 10.0)
    assert len(lines) == 2


async def test_a_store_that_refuses_connections(own_server: EmbeddedRedis, proxy: FaultProxy):
    """F14: calls that were waiting for it are decided here, none fails."""
    async with rates(f"redis://{proxy.target}/0") as one:
        assert await passed(one, "acme", 1) == 1
        await proxy.set(Refuse())
        await proxy.reset_connections()
        assert await passed(one, "other", 20) == SLOW.burst
        await proxy.heal()
        await until(lambda: one.decided_by == "redis", "it is shared again", 10.0)


async def test_a_caller_that_leaves_harms_nobody(own_server: EmbeddedRedis):
    """The others of its batch get their answers."""
    async with rates(own_server.url) as one:
        tasks = [asyncio.create_task(ask(one, Ask("acme", SLOW, 1))) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert [tasks[0].result(), tasks[2].result()] == [0.0, 0.0]


async def test_closing_answers_whoever_waits(own_server: EmbeddedRedis, proxy: FaultProxy):
    """Nobody waits for a store whose server ends."""
    await proxy.set(Latency(5.0))
    one = RedisRates(f"redis://{proxy.target}/0", SYSTEM_CLOCK)
    task = asyncio.create_task(ask(one, Ask("acme", SLOW, 1)))
    await asyncio.sleep(0)
    await one.close()
    assert await task == 0.0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:6379/0", "redis://h:6379/1"),
        ("redis://:secret@h", "redis://:secret@h/1"),
        ("rediss://h/3?db=4&ssl_ca_certs=a", "rediss://h/1?ssl_ca_certs=a"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1"),
    ],
)
def test_the_database_of_the_limits(url, expected):
    """Whatever database the address names: that is the one of the events."""
    assert database_url(url, DATABASE) == expected


def test_a_call_waits_for_the_store_no_longer_than_this():
    """As docs/overload.md says."""
    assert ANSWER_S == 0.05
