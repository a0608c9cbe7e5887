"""What a store in Redis does when Redis does not do what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from redis.asyncio import Redis
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.state.addresses import database_url
from trunkline.state.redis_nodes import CONNECTIONS
from trunkline.state.redis_store import RedisStore
from trunkline.state.store import VERSION_BYTES, Stored, Version
from trunkline.testing.fault_modes import Refuse
from trunkline.testing.resp_faults import (
    BUSY,
    LOADING,
    MASTERDOWN,
    MISCONF,
    NOPERM,
    OOM,
    READONLY,
    WRONGTYPE,
    Hold,
    drop_reply,
    hold_reply,
    misreport,
    refuse,
)
from trunkline.testing.resp_proxy import RespProxy

from tests.shop.waiting import until

DATABASE = 1
BOUND_S = 30.0
"""Seconds that nothing here takes, whatever else the machine does."""
OLD = Version(b"o" * VERSION_BYTES)
Change = Callable[[RedisStore], Awaitable[Any]]
CHANGES: dict[str, tuple[str, Change]] = {
    "put": ("SET", lambda store: store.put("k", b"new", ttl_s=60)),
    "create": ("SET", lambda store: store.create("k", b"new", ttl_s=60)),
    "replace": ("EVAL", lambda store: store.replace("k", b"new", version=OLD, ttl_s=60)),
    "delete": ("DEL", lambda store: store.delete("k")),
}
READS: dict[str, tuple[str, Change]] = {
    "get": ("GET", lambda store: store.get("k")),
    "get_many": ("MGET", lambda store: store.get_many(["k"])),
}
ALL = {**CHANGES, **READS}


def of(table: dict[str, tuple[str, Change]]) -> pytest.MarkDecorator:
    """A test for each of them."""
    return pytest.mark.parametrize(("command", "operation"), table.values(), ids=table.keys())


@pytest.fixture
async def store(resp_proxy: RespProxy) -> AsyncIterator[RedisStore]:
    """Through the proxy."""
    store = RedisStore(f"redis://{resp_proxy.target}/0", database=DATABASE, prefix="test:", answer_s=0.5)
    assert await store.get("k") is None
    yield store
    await store.close()


@asynccontextmanager
async def closing(store: RedisStore) -> AsyncIterator[RedisStore]:
    """Closes it at the end."""
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def direct(own_server: EmbeddedRedis) -> AsyncIterator[Any]:
    """Past the proxy: what is really there."""
    async with Redis.from_url(database_url(own_server.url, DATABASE)) as client:
        yield client


async def reason_of(asked: Awaitable[Any]) -> str:
    """Why it fails."""
    with pytest.raises(ServiceError) as failure:
        await asked
    assert (failure.value.code, failure.value.domain) == (grpc.StatusCode.UNAVAILABLE, "trunk")
    return failure.value.reason


@of(ALL)
async def test_redis_that_is_not_there(own_server: EmbeddedRedis, store: RedisStore, command: str, operation: Change):
    """Nothing is absent and nothing is done: an error says so."""
    await own_server.stop()
    assert await reason_of(operation(store)) == "STATE_UNAVAILABLE"
    assert await reason_of(operation(store)) == "STATE_UNAVAILABLE"


async def test_it_was_never_there(own_server: EmbeddedRedis):
    """A store that has never reached Redis says the same, and finds it when it comes."""
    await own_server.stop()
    store = RedisStore(own_server.url, database=DATABASE, prefix="test:")
    assert await reason_of(store.get("k")) == "STATE_UNAVAILABLE"
    await own_server.start()
    await until(lambda: not store.away, "it is back")
    assert await store.get("k") is None
    await store.close()


async def test_an_outage_costs_one_wait(own_server: EmbeddedRedis, store: RedisStore, lines: list[Any]):
    """Once it is known that Redis is away a thousand operations fail at once; it is told once, and when it is over."""
    await own_server.stop()
    await reason_of(store.get("k"))
    began = SYSTEM_CLOCK.monotonic()
    assert {await reason_of(store.put("k", b"v", ttl_s=1)) for _ in range(1000)} == {"STATE_UNAVAILABLE"}
    assert SYSTEM_CLOCK.monotonic() - began < 0.5
    await own_server.start()
    await until(lambda: not store.away, "it is back")
    assert await store.create("k", b"v", ttl_s=60) is not None
    assert [(line["log_level"], line["event"].partition(" is ")[0]) for line in lines] == [
        ("warning", "shared state"),
        ("info", "shared state"),
    ]


@pytest.mark.parametrize("silent", [False, True], ids=["cut", "silent"])
@of(CHANGES)
async def test_a_lost_reply_is_no_answer(
    resp_proxy: RespProxy, store: RedisStore, direct: Any, command: str, operation: Change, silent: bool
):
    """It was done, and nobody knows: neither success nor absence is told, and it is not done again."""
    await direct.set("test:k", OLD + b"old")
    if operation is CHANGES["create"][1]:
        await direct.delete("test:k")
    resp_proxy.plan.on(command, drop_reply(silent=silent))
    assert await reason_of(operation(store)) == "STATE_UNKNOWN"
    assert (resp_proxy.plan.commands[command], resp_proxy.plan.replies[command]) == (1, 1)
    found = await direct.get("test:k")
    assert found is None if command == "DEL" else found[VERSION_BYTES:] == b"new"


@of(READS)
async def test_a_lost_reply_to_a_read(resp_proxy: RespProxy, store: RedisStore, command: str, operation: Change):
    """Nothing was read, which is an error and not "absent"; the next read finds what is there."""
    version = await store.put("k", b"v", ttl_s=60)
    resp_proxy.plan.on(command, drop_reply())
    assert await reason_of(operation(store)) == "STATE_UNAVAILABLE"
    await until(lambda: not store.away, "the look has found Redis")
    assert await store.get("k") == Stored(b"v", version)


@pytest.mark.parametrize("error", [READONLY, LOADING, BUSY, MASTERDOWN, OOM, MISCONF, NOPERM, WRONGTYPE])
@of(ALL)
async def test_a_refusal_is_an_error(
    resp_proxy: RespProxy, store: RedisStore, direct: Any, command: str, operation: Change, error: str
):
    """It was not done, which is known; Redis is there, so that nobody else is turned away."""
    await direct.set("test:k", OLD + b"old")
    resp_proxy.plan.on(command, refuse(error))
    assert await reason_of(operation(store)) == "STATE_UNAVAILABLE"
    assert (store.away, await store.get("k")) == (False, Stored(b"old", OLD))


async def test_a_key_of_another_kind(store: RedisStore, direct: Any):
    """Somebody else's list, or a value that is none of ours, is no absence."""
    await direct.rpush("test:k", "x")
    await direct.set("test:short", "x")
    assert await reason_of(store.get("k")) == "STATE_UNAVAILABLE"
    assert await reason_of(store.get("short")) == "STATE_UNAVAILABLE"
    assert await reason_of(store.get_many(["absent", "short"])) == "STATE_UNAVAILABLE"
    assert await reason_of(store.replace("k", b"v", version=OLD, ttl_s=1)) == "STATE_UNAVAILABLE"


async def test_a_script_that_fails(resp_proxy: RespProxy, store: RedisStore):
    """Redis says that it has not done it; the store does not look whether that is so."""
    version = await store.put("k", b"v", ttl_s=60)
    resp_proxy.plan.on("EVAL", misreport(OOM))
    assert await reason_of(store.replace("k", b"w", version=version, ttl_s=60)) == "STATE_UNAVAILABLE"


async def test_the_end_of_a_value_is_set_with_it(resp_proxy: RespProxy, store: RedisStore, direct: Any):
    """In one command: a crash between two would leave a value for ever."""
    version = await store.put("put", b"v", ttl_s=60)
    await store.create("create", b"v", ttl_s=60)
    await store.replace("put", b"w", version=version, ttl_s=30)
    assert 59_000 < await direct.pttl("test:create") <= 60_000
    assert 29_000 < await direct.pttl("test:put") <= 30_000
    sent = {name for name in resp_proxy.plan.commands if not name.startswith(("CLIENT", "SELECT", "HELLO"))}
    assert sent == {"GET", "SET", "EVAL"}


async def test_an_old_server(resp_proxy: RespProxy):
    """Everything works with what Redis 6.2 knows; what the client says of itself is newer, and may be refused."""
    resp_proxy.plan.always("CLIENT SETINFO", refuse("ERR Unknown subcommand"))
    async with closing(RedisStore(f"redis://{resp_proxy.target}/0", database=DATABASE, prefix="test:")) as store:
        version = await store.create("k", b"1", ttl_s=60)
        assert version is not None
        assert await store.replace("k", b"2", version=version, ttl_s=60) is not None
        assert (await store.get_many(["k"])).keys() == {"k"}
        assert await store.delete("k") is True
    known = {"SELECT", "CLIENT SETNAME", "CLIENT SETINFO", "SET", "EVAL", "MGET", "DEL"}
    assert resp_proxy.plan.commands.keys() <= known


async def test_keys_stand_under_the_prefix(store: RedisStore, direct: Any):
    """In the database that was named, and nowhere else."""
    await store.put("k", b"v", ttl_s=60)
    assert await direct.keys("*") == [b"test:k"]
    assert (await direct.info("keyspace")).keys() == {"db1"}


async def test_more_at_once_than_connections(resp_proxy: RespProxy):
    """They wait for one, none is refused."""
    # The last of them waits for all others: how long that takes is the machine's, and not what is shown here.
    async with closing(
        RedisStore(f"redis://{resp_proxy.target}/0", database=DATABASE, prefix="test:", answer_s=BOUND_S)
    ) as store:
        await store.put("k", b"v", ttl_s=60)
        found = await asyncio.gather(*(store.get("k") for _ in range(20 * CONNECTIONS)))
    assert len(found) == 20 * CONNECTIONS
    assert None not in found
    assert resp_proxy.counts.connections <= CONNECTIONS


async def test_an_idle_connection_is_lost(own_server: EmbeddedRedis, direct: Any):
    """It is opened anew before anything is sent: no error, and nothing twice."""
    store = RedisStore(own_server.url, database=DATABASE, prefix="test:")
    await store.put("k", b"v", ttl_s=60)
    for _ in range(5):
        assert await direct.client_kill_filter(_type="normal", skipme=True) == 1
        assert len(await direct.client_list()) == 1
        assert await store.get("k") is not None
    assert (await direct.info("commandstats"))["cmdstat_get"]["calls"] == 5
    await store.close()


async def test_a_cancelled_operation(resp_proxy: RespProxy, store: RedisStore):
    """Its reply is given to nobody else, and its connection to nobody either."""
    await store.put("secret", b"secret", ttl_s=60)
    await store.put("k", b"v", ttl_s=60)
    for _ in range(2 * CONNECTIONS):
        hold = Hold()
        resp_proxy.plan.on("GET", hold_reply(hold), key="test:secret")
        asked = asyncio.create_task(store.get("secret"))
        await hold.reached.wait()
        asked.cancel()
        await asyncio.wait({asked})
        hold.released.set()
        found = await store.get("k")
        assert found is not None
        assert found.value == b"v"


async def test_it_is_closed_while_it_looks(resp_proxy: RespProxy, lines: list[MutableMapping[str, Any]]):
    """Nothing goes on afterwards, and nothing is to be had."""
    store = RedisStore(f"redis://{resp_proxy.target}/0", database=DATABASE, prefix="test:")
    await resp_proxy.set(Refuse())
    await reason_of(store.get("k"))
    await store.close()
    await resp_proxy.heal()
    assert await reason_of(store.get("k")) == "STATE_UNAVAILABLE"
    assert len(lines) == 1
