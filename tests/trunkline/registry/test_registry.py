"""What every registry does; and what is read of one that somebody else has written to."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from redis.asyncio import Redis
from trunkline.registry.instance import decode, is_address, reachable
from trunkline.registry.redis import PREFIX, RedisRegistry
from trunkline.registry.registry import RegistryUnavailable

from tests.shop.waiting import until
from tests.trunkline.registry.conftest import instance


async def test_who_has_a_lease_is_found(registry):
    """Instances are found by service, oldest first, with all that they said."""
    first, second = instance(1, host="a", pid=7, contracts=("x.Y",)), instance(2)
    for one in (second, first, instance(3, "stock")):
        await registry.renew(one, 60)
    assert await registry.read(["item", "stock", "cart"]) == {
        "item": [first, second],
        "stock": [instance(3, "stock")],
        "cart": [],
    }
    assert await registry.services() == ["item", "stock"]


async def test_who_renews_says_anew_how_it_is(registry):
    """A renewed lease carries the state of now."""
    await registry.renew(instance(), 60)
    await registry.renew(instance(state="draining"), 60)
    assert [one.state for one in (await registry.read(["item"]))["item"]] == ["draining"]


async def test_who_leaves_is_gone(registry):
    """A lease that is taken back is gone at once, and the others are not."""
    for number in (1, 2):
        await registry.renew(instance(number), 60)
    await registry.remove(instance(1))
    await registry.remove(instance(1))
    assert (await registry.read(["item"]))["item"] == [instance(2)]


async def test_who_is_not_heard_of_is_gone(registry):
    """B4: a lease that is not renewed ends by itself."""
    await registry.renew(instance(1), 0.2)
    await registry.renew(instance(2), 60)

    async def gone() -> bool:
        return bool((await registry.read(["item"]))["item"] == [instance(2)])

    await until(gone, "the lease has ended", 5.0)


ILL_TYPED: list[dict[str, object]] = [
    {"start_time": "yesterday"},
    {"start_time": None},
    {"pid": "x"},
    {"host": []},
    {"version": 1},
    {"state": []},
    {"address": "127.0.0.1:" + "9" * 5000},
]
"""Parts of instances that would end the reading of all others."""


async def test_a_short_lease_ends_no_longer_one(url):
    """Servers of one service may have leases of different lengths: all are kept for as long as the longest."""
    registry = RedisRegistry(url)
    await registry.renew(instance(1), 60)
    await registry.renew(instance(2), 0.1)
    async with Redis.from_url(url, protocol=2) as client:
        assert await client.pttl(f"{PREFIX}{{item}}") > 60_000
    await registry.close()


async def test_what_is_no_instance_is_left_out(url):
    """Nonsense in the registry hides nobody, and makes no address."""
    registry = RedisRegistry(url)
    await registry.renew(instance(1), 60)
    async with Redis.from_url(url, protocol=2) as client:
        texts = ["", "{", "[]", "null", '{"service": 1}', "9" * 5000]
        texts += [json.dumps(asdict(instance(9)) | part) for part in ILL_TYPED]
        for number, text in enumerate(texts):
            await client.hset(f"{PREFIX}{{item}}", f"junk{number}", f"99999999999999 {text}")
        await client.hset(f"{PREFIX}{{item}}", "no lease", "nonsense")
    assert (await registry.read(["item"]))["item"] == [instance(1)]
    await registry.close()


async def test_a_registry_that_is_away_says_so():
    """Nobody answers: one kind of failure, whatever is asked."""
    registry = RedisRegistry("redis://127.0.0.1:1")
    for asked in (
        registry.renew(instance(), 1),
        registry.remove(instance()),
        registry.read(["x"]),
        registry.services(),
    ):
        with pytest.raises(RegistryUnavailable):
            await asked
    await registry.close()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:50051", True),
        ("item.shop.svc:50051", True),
        ("127.0.0.1", False),
        ("127.0.0.1:0", False),
        ("127.0.0.1:65536", False),
        (":50051", False),
        ("a:1,b:2", False),
        ("unix:/tmp/x:1", False),
        ("a b:1", False),
        ("a:\u0661", False),
    ],
)
def test_what_an_address_is(text, is_one):
    """`host:port`, and nothing that gRPC would take for more than that."""
    assert is_address(text) is is_one


def test_only_who_serves_is_called():
    """Addresses of instances that drain, or do not serve, are left out; each address stands once."""
    states = ("serving", "not_serving", "draining")
    instances = [instance(number, state=state) for number, state in enumerate(states)]
    assert reachable([*instances, instance(9, address=instances[0].address)]) == (instances[0].address,)


def test_an_instance_of_a_later_release_is_understood():
    """A field that is not known is left out."""
    assert decode(instance().encode().replace("{", '{"zone":"b",', 1)) == instance()
