"""State in a Redis Cluster: every key is found, wherever it is, and wherever it goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.crc import key_slot
from trunkline.errors import ServiceError
from trunkline.launcher.embedded import find_server, version_of
from trunkline.state.addresses import node_url
from trunkline.state.redis_store import RedisStore
from trunkline.state.store import Stored

from tests.shop.waiting import until
from tests.trunkline.state.cluster import OLDEST, SLOTS, ClusterNode, cluster

PREFIX = "test:"
KEYS = [f"k{number}" for number in range(40)]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[ClusterNode]]:
    """Two of them."""
    if (found := version_of(str(find_server()))) < OLDEST:
        pytest.skip(f"the test runs clusters of servers since 7.0, and this one is {found}")
    async with cluster(tmp_path) as nodes:
        yield nodes


@pytest.fixture
async def store(nodes: list[ClusterNode]) -> AsyncIterator[RedisStore]:
    """A store that was given the address of the first."""
    store = RedisStore(nodes[0].url, database=0, prefix=PREFIX, answer_s=1.0)
    yield store
    await store.close()


def place(key: str) -> int:
    """Number of the node that has it."""
    return key_slot(f"{PREFIX}{key}".encode()) // (SLOTS // 2)


async def test_keys_of_all_nodes(store: RedisStore, nodes: list[ClusterNode]):
    """Each operation does what it does elsewhere, on both nodes."""
    for key in KEYS:
        first = await store.create(key, b"1", ttl_s=60)
        assert first is not None
        assert await store.create(key, b"2", ttl_s=60) is None
        second = await store.replace(key, b"2", version=first, ttl_s=60)
        assert second is not None
        assert await store.replace(key, b"3", version=first, ttl_s=60) is None
        assert await store.get(key) == Stored(b"2", second)
    held = [await node.client.dbsize() for node in nodes]
    assert held == [sum(place(key) == number for key in KEYS) for number in range(2)]
    assert min(held) > 0
    assert [await store.delete(key) for key in KEYS] == [True] * len(KEYS)


async def test_many_are_read_where_a_tag_keeps_them_together(store: RedisStore, nodes: list[ClusterNode]):
    """Keys of one tag are read at once; keys of several nodes cannot be, which is an error and not "absent"."""
    for key in ("{a}1", "{a}2", *KEYS):
        await store.put(key, b"v", ttl_s=60)
    assert (await store.get_many(["{a}1", "{a}2", "{a}3"])).keys() == {"{a}1", "{a}2"}
    with pytest.raises(ServiceError, match="STATE_UNAVAILABLE"):
        await store.get_many(KEYS)
    assert store.away is False


async def test_a_slot_moves(store: RedisStore, nodes: list[ClusterNode]):
    """While it is moved and afterwards its keys are found, and each change is made once."""
    key = next(key for key in KEYS if place(key) == 0)
    slot = key_slot(f"{PREFIX}{key}".encode())
    version = await store.put(key, b"v", ttl_s=60)
    giver, taker = nodes
    giver_id, taker_id = [(await node.client.execute_command("CLUSTER MYID")).decode() for node in nodes]
    await taker.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", giver_id)
    await giver.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", taker_id)
    await giver.client.execute_command("MIGRATE", "127.0.0.1", taker.port, f"{PREFIX}{key}", 0, 1000)
    assert await store.get(key) == Stored(b"v", version)
    following = await store.replace(key, b"w", version=version, ttl_s=60)
    assert following is not None
    for node in (taker, giver):
        await node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", taker_id)
    assert await store.get(key) == Stored(b"w", following)
    assert await store.replace(key, b"x", version=version, ttl_s=60) is None


async def test_a_node_is_killed(store: RedisStore, nodes: list[ClusterNode]):
    """Keys of a node that is gone are not "absent"; when it is back, so are they."""
    key = next(key for key in KEYS if place(key) == 1)
    version = await store.put(key, b"v", ttl_s=60)
    nodes[1].kill()
    for _ in range(20):
        with pytest.raises(ServiceError, match="STATE_UNAVAILABLE"):
            await store.get(key)
    await nodes[1].start()

    async def found() -> bool:
        try:
            return await store.get(key) == Stored(b"v", version)
        except ServiceError:
            return False

    await until(found, "the key is found again")


@pytest.mark.parametrize(
    ("url", "host", "expected"),
    [
        ("redis://:secret@one:6379/0", "10.0.0.1", "redis://:secret@10.0.0.1:7001/0"),
        ("rediss://user:p%40ss@one/0?ssl_ca_certs=x", "::1", "rediss://user:p%40ss@[::1]:7001/0?ssl_ca_certs=x"),
        ("redis://one", "two", "redis://two:7001"),
    ],
)
def test_addresses_of_other_nodes(url: str, host: str, expected: str):
    """User, password and options are those that were given."""
    assert node_url(url, host, 7001) == expected
