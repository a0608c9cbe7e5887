"""Redis fails a store of state: errors are told, in time and as what they are; nothing hangs, and nothing spins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError
from trunkline.events.shard import Shard
from trunkline.events.streams import link as link_module
from trunkline.events.streams.link import LONGEST_BLOCK_S, NEW, Link, RedisUnavailable
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.state.addresses import database_url
from trunkline.state.redis_store import RedisStore
from trunkline.testing.fault_modes import Blackhole
from trunkline.testing.resp_faults import drop_reply
from trunkline.testing.resp_proxy import RespProxy

from tests.shop.waiting import until

pytestmark = pytest.mark.servers
DATABASE = 1
GENEROUS_S = 1.0
"""What a step may take on a crowded machine where a tenth of a second is meant."""
READERS = 200


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server of the test's own."""
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def proxy(server: EmbeddedRedis) -> AsyncIterator[RespProxy]:
    """Before it."""
    async with RespProxy("127.0.0.1", server.port) as proxy:
        yield proxy


@asynccontextmanager
async def store_at(url: str, answer_s: float = 0.2) -> AsyncIterator[RedisStore]:
    """A store, closed at the end."""
    store = RedisStore(url, database=DATABASE, prefix="test:", answer_s=answer_s)
    try:
        yield store
    finally:
        await store.close()


def url_of(proxy: RespProxy) -> str:
    """The way through the proxy."""
    return f"redis://{proxy.target}/0"


def client_of(url: str) -> Any:
    """A connection of the test's own; its types say less than it does."""
    return Redis.from_url(url)


async def outcome(asked: Awaitable[Any]) -> Any:
    """What comes of it: a value, or the reason of the failure."""
    try:
        return await asked
    except ServiceError as error:
        return error.reason


async def test_a_black_hole(proxy: RespProxy):
    """F5: reads and changes end in time and say what is known; once the hole is closed, the store is back."""
    async with store_at(url_of(proxy)) as store:
        await store.put("k", b"v", ttl_s=60)
        await proxy.set(Blackhole())
        began = SYSTEM_CLOCK.monotonic()
        found = await asyncio.gather(*(outcome(store.put("k", b"w", ttl_s=60)) for _ in range(50)))
        found += [await outcome(store.get("k")) for _ in range(50)]
        assert SYSTEM_CLOCK.monotonic() - began < GENEROUS_S
        assert set(found) <= {"STATE_UNKNOWN", "STATE_UNAVAILABLE"}
        assert "STATE_UNKNOWN" in found
        await proxy.heal()
        await until(lambda: not store.away, "the store has found Redis", 5.0)
        assert await store.get("k") is not None


async def test_a_password_is_changed(proxy: RespProxy, server: EmbeddedRedis):
    """F8: whoever has the old one is refused: a clear error, and no more tries than the backoff allows."""
    async with store_at(url_of(proxy)) as store, client_of(server.url) as direct:
        await store.put("k", b"v", ttl_s=60)
        await direct.config_set("requirepass", "new")
        await direct.execute_command("AUTH", "new")
        await direct.client_kill_filter(_type="normal", skipme=True)
        before = proxy.counts.connections
        for _ in range(500):
            assert await outcome(store.get("k")) == "STATE_UNAVAILABLE"
            await asyncio.sleep(0.002)
        assert proxy.counts.connections - before < 40
        await direct.config_set("requirepass", "")
        await until(lambda: not store.away, "the store has found Redis", 5.0)
        assert await store.get("k") is not None


async def test_two_hundred_readers_wait(server: EmbeddedRedis, tmp_path: Path):
    """F11: reads that wait for events have connections of their own; those of state find none of them in the way."""
    links = [Link(server.url, name=f"reader-{number}", block_s=LONGEST_BLOCK_S) for number in range(READERS)]
    shard = Shard("tranlog", 0)
    async with store_at(server.url, answer_s=GENEROUS_S) as store:
        await asyncio.gather(*(link.connect() for link in links))
        await links[0].create_groups("group", [shard])
        reads = [
            asyncio.create_task(link.read("group", "group", {shard: NEW}, count=1, block_s=LONGEST_BLOCK_S))
            for link in links
        ]
        async with Redis.from_url(server.url) as direct:

            async def all_wait() -> bool:
                return int((await direct.info("clients"))["blocked_clients"]) == READERS

            await until(all_wait, "all readers wait", 10.0)
        found = await asyncio.gather(*(outcome(store.create(f"k{one}", b"v", ttl_s=60)) for one in range(READERS)))
        assert all(isinstance(version, bytes) for version in found)
        assert await asyncio.gather(*reads) == [[] for _ in links]
        await asyncio.gather(*(link.close() for link in links))


async def test_a_long_wait(proxy: RespProxy, monkeypatch: pytest.MonkeyPatch):
    """F12: a read that is asked to wait 7 s waits for what its connection allows, is sent once, and fails in time."""
    monkeypatch.setattr(link_module, "ANSWER_S", 1.0)
    monkeypatch.setattr(link_module, "LONGEST_BLOCK_S", 0.5)
    link, shard = Link(url_of(proxy), name="reader", block_s=7.0), Shard("tranlog", 0)
    await link.connect()
    await link.create_groups("group", [shard])
    began = SYSTEM_CLOCK.monotonic()
    assert await link.read("group", "group", {shard: NEW}, count=1, block_s=7.0) == []
    assert 0.5 <= SYSTEM_CLOCK.monotonic() - began < 1.5
    proxy.plan.on("XREADGROUP", drop_reply(silent=True))
    began = SYSTEM_CLOCK.monotonic()
    with pytest.raises(RedisUnavailable):
        await link.read("group", "group", {shard: NEW}, count=1, block_s=7.0)
    assert SYSTEM_CLOCK.monotonic() - began < 3.0
    assert proxy.plan.commands["XREADGROUP"] == 2
    await link.close()


@pytest.mark.parametrize("silent", [False, True], ids=["cut", "silent"])
async def test_who_holds_it(proxy: RespProxy, silent: bool):
    """F15: the reply to SET NX is lost: its sender does not believe that it holds, and nobody else does."""
    async with store_at(url_of(proxy)) as one, store_at(url_of(proxy)) as other:
        proxy.plan.on("SET", drop_reply(silent=silent))
        assert await outcome(one.create("lock", b"one", ttl_s=1)) == "STATE_UNKNOWN"
        assert await outcome(other.create("lock", b"other", ttl_s=60)) is None
        await until(lambda: not one.away, "it has found Redis", 5.0)
        # It may look: the value tells whose it is, and the version is enough to go on from there.
        found = await one.get("lock")
        assert found is not None
        assert found.value == b"one"

        async def taken() -> bool:
            return isinstance(await outcome(other.create("lock", b"other", ttl_s=60)), bytes)

        await until(taken, "the value that nobody goes on with has ended", 5.0)
        assert await one.replace("lock", b"one", version=found.version, ttl_s=60) is None


async def test_clients_are_killed_all_the_time(server: EmbeddedRedis):
    """F17: whatever is under way fails as what it is; nothing is doubled, no connection leaks, and it ends well."""
    async with store_at(server.url) as store, Redis.from_url(database_url(server.url, DATABASE)) as direct:
        added, unknown = 0, 0
        await store.put("n", b"0", ttl_s=60)
        for number in range(300):
            if number % 15 == 0:
                await direct.client_kill_filter(_type="normal", skipme=True)
            found = await outcome(store.get("n"))
            if isinstance(found, str):
                await until(lambda: not store.away, "it has found Redis", 5.0)
                continue
            following = b"%d" % (int(found.value) + 1)
            done = await outcome(store.replace("n", following, version=found.version, ttl_s=60))
            added += isinstance(done, bytes)
            unknown += done == "STATE_UNKNOWN"
        await until(lambda: not store.away, "it has found Redis", 5.0)
        last = await store.get("n")
        assert last is not None
        assert added <= int(last.value) <= added + unknown
        assert added > 200
        clients = [one for one in await direct.client_list() if one["name"] == "trunkline-state"]
        assert len(clients) <= 2
