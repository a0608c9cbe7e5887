"""The bridge: what is sold goes out on streams and on a channel, and can be watched there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.shop.books import published
from tests.shop.company import TEA, company
from tests.shop.healed import healed
from tests.shop.running import RunningShop
from tests.shop.streams import client, entries
from tests.shop.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
BOUND_S = 20.0


@asynccontextmanager
async def tailing(shop: RunningShop, topic: str) -> AsyncIterator[asyncio.StreamReader]:
    """`trunkline events tail` on a topic, listening; gives what it prints."""
    with client(shop.system.redis_url) as redis:
        before = watchers(redis, topic)
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("trunkline")), "events", "tail", topic, "--json",
            env=shop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=2**20,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            await until(lambda: watchers(redis, topic) > before, "somebody tails")
            yield process.stdout
        finally:
            process.terminate()
            _, complained = await process.communicate()
        assert complained == b""


def watchers(redis: Any, topic: str) -> int:
    """How many watch a channel."""
    return int(dict(redis.pubsub_numsub(topic))[topic.encode()])


async def test_tail_shows_sales_as_they_happen(shop: RunningShop):
    """`trunkline events tail tranlog --json`, started before, prints each sale: in order, readable, whole."""
    async with company(shop, "acme") as acme, tailing(shop, "tranlog") as lines:
        counter = await acme.counter("tail")
        await counter.open()
        sales = [await counter.sell(quantity) for quantity in (1, 2, 3)]
        async with asyncio.timeout(BOUND_S):
            events = [json.loads(await lines.readline()) for _ in sales]
        await counter.till.close(0)
    assert {event["key"] for event in events} == {"acme/tail/1"}
    assert [int(event["number"]) for event in events] == [sale.transaction_no for sale in sales]
    payloads = [event["payload"] for event in events]
    assert [int(one["total_with_tax_minor_units"]) for one in payloads] == [sale.total_with_tax for sale in sales]
    assert [one["lines"][0]["item_code"] for one in payloads] == [TEA] * 3
    assert {one["kind"] for one in payloads} == {"TRANSACTION_KIND_SALE"}
    await healed(shop)


async def test_the_channel_carries_the_bytes_of_the_streams(shop: RunningShop):
    """A plain client that SUBSCRIBEs gets, byte for byte, what stands in the streams and in the outbox."""
    async with company(shop, "acme") as acme:
        counter = await acme.counter("raw")
        with client(shop.system.redis_url) as redis, redis.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe("tranlog")
            await until(lambda: watchers(redis, "tranlog") > 0, "it is subscribed")
            await counter.open()
            for quantity in (1, 2, 3):
                await counter.sell(quantity)
            await counter.till.close(0)
            got: list[bytes] = []

            def all_there() -> bool:
                while message := channel.get_message():
                    got.append(message["data"])
                return len(got) >= 3

            await until(all_there, "three sales on the channel", BOUND_S)
            added = entries(redis, "tranlog")
    kept = [one.data for one in published(shop.var_dir, "tranlog") if one.envelope.key == "acme/raw/1"]
    assert got == kept
    assert [data for data in added if data in kept] == kept
    await healed(shop)


async def test_a_watcher_that_goes_away_ends_quietly(shop: RunningShop):
    """Piped into something that stops reading, tail ends without a complaint."""
    reading, writing = os.pipe()
    with client(shop.system.redis_url) as redis:
        before = watchers(redis, "tranlog")
        tail = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("trunkline")), "events", "tail", "tranlog",
            env=shop.environment, stdout=writing, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.close(writing)
        await until(lambda: watchers(redis, "tranlog") > before, "it tails")
        os.close(reading)
        async with company(shop, "acme") as acme:
            counter = await acme.counter("pipe")
            await counter.open()
            await counter.sell()
            await counter.till.close(0)
        async with asyncio.timeout(BOUND_S):
            _, complained = await tail.communicate()
    assert complained == b""
