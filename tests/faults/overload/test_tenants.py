"""One tenant calls far too often, and the store of the limits fails: others do not notice."""

from __future__ import annotations

import asyncio

import pytest
from trunkline.launcher.embedded import embedded_redis
from trunkline.testing.fault_modes import Latency
from trunkline.testing.fault_proxy import FaultProxy

from tests.faults.overload.load import Strangers, good, quantile, refused, serving

pytestmark = pytest.mark.xdist_group("fault-overload")
RATE = 5.0
"""Calls a second of a tenant: few, so that twenty times as many are no load for a crowded machine."""
CALM, SECONDS = 4.0, 2.0
"""Calls a second of somebody who keeps to it, and how long."""
SOON_S = 1.0
"""What is allowed where a fifth more is meant: the machine is shared."""


async def test_a_noisy_tenant(tmp_path):
    """D20: one at twenty times its rate is refused; another's calls all succeed, about as fast as before."""
    with serving(tmp_path, TRUNKLINE_RATE_PER_TENANT=RATE) as address:
        async with Strangers(address, "rival") as calm, Strangers(address, "user") as noisy:
            before = await calm.adds(CALM, SECONDS)
            during, noise = await asyncio.gather(calm.adds(CALM, SECONDS), noisy.adds(20 * RATE, SECONDS))
            assert refused(before) == refused(during) == []
            assert quantile(during, 0.95) < quantile(before, 0.95) + SOON_S
            assert {one.reason for one in refused(noise)} == {"RATE_LIMIT"}
            assert all(one.retry_after_s > 0 for one in refused(noise))
            # The burst, and what comes in during the load and its tail.
            assert RATE <= len(good(noise)) <= RATE + RATE * (SECONDS + 2 * SOON_S)


async def test_two_servers_share_a_tenants_rate(tmp_path):
    """D20: with a store in Redis two processes grant no more than one would."""
    async with embedded_redis(tmp_path / "redis") as redis:
        settings = {"TRUNKLINE_RATE_PER_TENANT": RATE, "TRUNKLINE_RATE_STORE": "redis", "REDIS_URL": redis.url}
        with serving(tmp_path / "one", **settings) as one, serving(tmp_path / "other", **settings) as other:
            async with Strangers(one) as here, Strangers(other) as there:
                found = await asyncio.gather(here.adds(3 * RATE, SECONDS), there.adds(3 * RATE, SECONDS))
                assert all(refused(one) and good(one) for one in found)
                granted = sum(len(good(one)) for one in found)
                assert granted <= RATE + RATE * (SECONDS + SOON_S)
                assert granted >= RATE + RATE * SECONDS * 0.5


async def test_the_store_of_the_limits_is_away(tmp_path):
    """F14: no call fails for it; each server holds the rate alone, and together they hold it again when it is back."""
    async with embedded_redis(tmp_path / "redis") as redis:
        settings = {"TRUNKLINE_RATE_PER_TENANT": RATE, "TRUNKLINE_RATE_STORE": "redis", "REDIS_URL": redis.url}
        with serving(tmp_path / "one", **settings) as address:
            async with Strangers(address) as callers, Strangers(address, "rival") as others:
                assert refused(await callers.adds(CALM, 0.5)) == []
                redis.kill()
                noise, calm = await asyncio.gather(callers.adds(5 * RATE, SECONDS), others.adds(CALM, SECONDS))
                assert refused(calm) == []
                assert {one.reason for one in refused(noise)} == {"RATE_LIMIT"}
                assert len(good(noise)) <= RATE + RATE * (SECONDS + SOON_S)
                await redis.start()
                assert refused(await others.adds(CALM, SECONDS)) == []
        log = (tmp_path / "one" / "log").read_text()
        assert log.count("held by each process") == 1


async def test_the_store_of_the_limits_is_slow(tmp_path):
    """F13: 300 ms more on the way to it: no call waits for that long, as the limits are held here meanwhile."""
    async with embedded_redis(tmp_path / "redis") as redis, FaultProxy("127.0.0.1", redis.port) as proxy:
        url = f"redis://{proxy.target}/0"
        settings = {"TRUNKLINE_RATE_PER_TENANT": RATE, "TRUNKLINE_RATE_STORE": "redis", "REDIS_URL": url}
        with serving(tmp_path / "one", **settings) as address:
            async with Strangers(address) as callers:
                assert refused(await callers.adds(CALM, 0.5)) == []
                await proxy.set(Latency(0.3))
                outcomes = await callers.adds(CALM, 2 * SECONDS)
                assert refused(outcomes) == []
                assert quantile(outcomes, 0.5) < 0.25
                await proxy.heal()
