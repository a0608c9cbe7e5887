"""What a proxy does to single commands of Redis and to their replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events.shard import Shard
from trunkline.events.streams.link import Link, RedisUnavailable
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.testing.fault_modes import Refuse
from trunkline.testing.resp_faults import (
    OOM,
    READONLY,
    Hold,
    cut_after,
    cut_before,
    delay_reply,
    drop_reply,
    hold_reply,
    misreport,
    ok,
    refuse,
)
from trunkline.testing.resp_proxy import RespProxy

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.testing.echo import nothing_left

SHARD = Shard("tranlog", 0)
LOST = (RedisConnectionError, RedisTimeoutError)


def client_of(port: int, **options: Any) -> Any:
    """A client that repeats nothing by itself."""
    return Redis(port=port, retry=Retry(NoBackoff(), 0), single_connection_client=False, **options)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server of the test's own."""
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def proxy(server: EmbeddedRedis) -> AsyncIterator[RespProxy]:
    """Before that server; nothing of it is left after the test."""
    with nothing_left():
        async with RespProxy("127.0.0.1", server.port) as proxy:
            yield proxy


@pytest.fixture
async def client(proxy: RespProxy) -> AsyncIterator[Any]:
    """Through the proxy."""
    async with client_of(proxy.port, protocol=2, socket_timeout=5) as client:
        await client.ping()
        yield client


@pytest.fixture
async def direct(server: EmbeddedRedis) -> AsyncIterator[Any]:
    """Past the proxy: what is really there."""
    async with client_of(server.port) as client:
        yield client


async def test_everything_passes(proxy: RespProxy, client: Any):
    """Large, small, empty and nested values; commands and replies are counted by name."""
    much = bytes(range(256)) * 4000
    await client.mset({"much": much, "empty": b""})
    assert await client.mget("much", "empty", "absent") == [much, b"", None]
    await client.xadd("s", {"e": much})
    await client.xgroup_create("s", "g", "0")
    assert (await client.xreadgroup("g", "c", {"s": ">"}))[0][1][0][1] == {b"e": much}
    assert (await client.xinfo_stream("s"))["length"] == 1
    for name in ("MSET", "MGET", "XADD", "XGROUP CREATE", "XREADGROUP", "XINFO STREAM"):
        assert (proxy.plan.commands[name], proxy.plan.replies[name]) == (1, 1), name


async def test_a_transaction_passes(proxy: RespProxy, client: Any):
    """Each of its commands is answered, and EXEC with what they gave."""
    pipeline = client.pipeline(transaction=True)
    pipeline.set("a", 1).incr("a")
    assert await pipeline.execute() == [True, 2]
    assert proxy.plan.replies["EXEC"] == 1


async def test_resp3_passes(proxy: RespProxy, server: EmbeddedRedis):
    """Maps, numbers, booleans and pushes are told apart."""
    async with client_of(proxy.port, protocol=3) as client, client.pubsub() as subscription:
        await client.hset("h", mapping={"a": "1", "b": "2"})
        assert await client.hgetall("h") == {b"a": b"1", b"b": b"2"}
        await subscription.subscribe("news")
        assert (await subscription.get_message(timeout=5))["type"] == "subscribe"
        await client.publish("news", b"x")
        assert (await subscription.get_message(timeout=5))["data"] == b"x"


async def test_messages_pass(proxy: RespProxy, client: Any):
    """After SUBSCRIBE what comes answers nothing that was asked."""
    async with client.pubsub() as subscription:
        await subscription.subscribe("one", "two")
        assert [(await subscription.get_message(timeout=5))["type"] for _ in range(2)] == ["subscribe"] * 2
        for number in range(3):
            await client.publish("two", str(number))
        assert [(await subscription.get_message(timeout=5))["data"] for _ in range(3)] == [b"0", b"1", b"2"]


async def test_the_reply_of_the_third_is_lost(proxy: RespProxy, client: Any, direct: Any):
    """Two pass, the third is executed and its connection is cut; the client does not know what was done."""
    proxy.plan.on("XADD", drop_reply(), nth=3)
    await client.xadd("s", {"e": b"1"})
    await client.xadd("s", {"e": b"2"})
    with pytest.raises(RedisConnectionError):
        await client.xadd("s", {"e": b"3"})
    assert [fields[b"e"] for _, fields in await direct.xrange("s")] == [b"1", b"2", b"3"]
    assert (proxy.plan.unmet, proxy.plan.met.total()) == ({}, 1)
    await client.xadd("s", {"e": b"4"})


async def test_a_reply_is_lost_in_silence(proxy: RespProxy, direct: Any):
    """The connection stays and nothing comes on it any more: the client waits for as long as it will."""
    async with client_of(proxy.port, protocol=2, socket_timeout=0.2) as client:
        proxy.plan.on("SET", drop_reply(silent=True))
        with pytest.raises(RedisTimeoutError):
            await client.set("k", "v", nx=True)
        assert await direct.get("k") == b"v"
        assert await client.get("k") == b"v"


async def test_healing_resets_what_fell_silent(proxy: RespProxy):
    """Nothing sensible can follow a reply that was left out."""
    async with client_of(proxy.port, protocol=2, socket_timeout=30) as client:
        proxy.plan.on("INCRBY", drop_reply(silent=True))  # what the client sends for incr
        asked = asyncio.create_task(client.incr("n"))
        await until(lambda: proxy.plan.replies["INCRBY"] == 1)
        await proxy.heal()
        with pytest.raises(RedisConnectionError):
            await asked
        assert await client.incr("n") == 2


async def test_a_reply_is_held(proxy: RespProxy, client: Any, direct: Any):
    """The test goes on between the effect and the reply; other connections do too."""
    hold = Hold()
    proxy.plan.on("SET", hold_reply(hold))
    asked = asyncio.create_task(client.set("k", "v"))
    await hold.reached.wait()
    assert await direct.get("k") == b"v"
    assert await client.get("k") == b"v"
    assert not asked.done()
    hold.released.set()
    assert await asked is True


async def test_healing_lets_go(proxy: RespProxy, client: Any):
    """What is held goes on, and no plan is left."""
    hold = Hold()
    proxy.plan.on("SET", hold_reply(hold), drop_reply())
    asked = asyncio.create_task(client.set("k", "v"))
    await hold.reached.wait()
    await proxy.heal()
    assert await asked is True
    assert await client.set("k", "v") is True


async def test_a_reply_is_late(proxy: RespProxy, client: Any):
    """Its own time and no less; the next one is in time again."""
    proxy.plan.on("GET", delay_reply(0.2))
    began = SYSTEM_CLOCK.monotonic()
    await client.get("k")
    assert SYSTEM_CLOCK.monotonic() - began >= 0.2
    proxy.plan.on("GET", delay_reply(600))
    asked = asyncio.create_task(client.get("k"))
    await until(lambda: proxy.plan.replies["GET"] == 2)
    await proxy.heal()
    assert await asked is None


@pytest.mark.parametrize(("error", "raised"), [(READONLY, ReadOnlyError), (OOM, OutOfMemoryError)])
async def test_a_command_is_refused(proxy: RespProxy, client: Any, direct: Any, error: str, raised: type[Exception]):
    """The server never gets it, the client is told the error, in its place among the others of a pipeline."""
    proxy.plan.on("SET", ok, refuse(error))
    pipeline = client.pipeline(transaction=False)
    answers = await pipeline.set("a", 1).set("b", 2).set("c", 3).get("b").execute(raise_on_error=False)
    assert (answers[0], type(answers[1]), answers[2], answers[3]) == (True, raised, True, None)
    assert await direct.keys("*") != []
    assert (proxy.plan.commands["SET"], proxy.plan.replies["SET"]) == (3, 2)


async def test_a_server_that_refuses_at_length(proxy: RespProxy, client: Any):
    """What always happens goes on until it is healed."""
    proxy.plan.always("SET", refuse(READONLY))
    for _ in range(3):
        with pytest.raises(ReadOnlyError):
            await client.set("k", "v")
    await proxy.heal()
    assert await client.set("k", "v") is True


async def test_an_error_is_told_of_what_was_done(proxy: RespProxy, client: Any, direct: Any):
    """The client hears of a failure that was none."""
    proxy.plan.on("SET", misreport("ERR no"))
    with pytest.raises(ResponseError):
        await client.set("k", "v")
    assert await direct.get("k") == b"v"


@pytest.mark.parametrize(
    ("name", "fault", "there"),
    [("PUBLISH", cut_before(), []), ("XADD", cut_after(), []), ("EXEC", cut_after(), [b"1", b"2"])],
    ids=["before PUBLISH", "after XADD", "after EXEC"],
)
async def test_a_pipeline_is_cut_between_two_commands(proxy, server, name, fault, there):
    """Entries are there, and heard of, all or none; the link is told of nothing."""
    link = Link(f"redis://{proxy.target}/0", name="test")
    async with client_of(server.port, protocol=2) as direct, direct.pubsub() as subscription:
        await subscription.subscribe("tranlog")
        await subscription.get_message(timeout=5)
        await link.connect()
        proxy.plan.on(name, fault)
        with pytest.raises(RedisUnavailable):
            await link.append([(SHARD, b"1"), (SHARD, b"2")])
        assert [fields[b"e"] for _, fields in await direct.xrange(SHARD.stream)] == there
        await direct.publish("tranlog", b"after")
        heard = [(await subscription.get_message(timeout=5))["data"] for _ in range(len(there) + 1)]
        assert heard == [*there, b"after"]
    await link.close()


async def test_a_transaction_is_discarded_after_a_refusal(proxy: RespProxy, client: Any, direct: Any):
    """EXEC is refused then, as a server's is, and nothing of it is done; the next one is whole."""
    proxy.plan.on("SET", refuse(OOM))
    pipeline = client.pipeline(transaction=True).set("a", 1).incr("b")
    with pytest.raises(ResponseError, match="maxmemory"):
        await pipeline.execute()
    assert await direct.exists("a", "b") == 0
    assert await client.pipeline(transaction=True).set("a", 1).incr("b").execute() == [True, 1]


async def test_a_key_has_faults_of_its_own(proxy: RespProxy, client: Any):
    """Those with another key neither meet nor count."""
    proxy.plan.on("SET", refuse(READONLY), nth=2, key="b")
    await client.set("a", 1)
    await client.set("b", 1)
    await client.set("a", 2)
    with pytest.raises(ReadOnlyError):
        await client.set("b", 2)


async def test_dice_fall_alike_for_one_seed(proxy: RespProxy, client: Any):
    """The same seed refuses the same commands, whatever came between them."""

    async def refused() -> list[bool]:
        proxy.plan.commands.clear()
        proxy.plan.randomly(7, {"SET": {refuse(READONLY): 0.5}})
        return [isinstance(await _outcome(client.set("k", "v")), ReadOnlyError) for _ in range(20)]

    first = await refused()
    await client.get("k")
    assert await refused() == first
    assert 0 < sum(first) < 20


async def _outcome(asked: Any) -> Any:
    try:
        return await asked
    except ReadOnlyError as error:
        return error


async def test_modes_of_the_proxy_work_too(proxy: RespProxy, client: Any):
    """Connections are refused and cut as by any fault proxy."""
    await proxy.set(Refuse())
    await proxy.reset_connections()
    with pytest.raises(LOST):
        await client.ping()
    await proxy.heal()
    assert await client.ping() is True
