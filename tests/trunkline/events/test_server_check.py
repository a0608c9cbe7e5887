"""Whether a Redis may carry events: asked at the start, told with its remedy."""

from __future__ import annotations

from typing import Any

import pytest
from trunkline.events.streams.server_check import SAFE, Verdict, judge, verdict_on


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_server_that_may_drop_streams_is_refused(policy):
    """F7: a whole stream would go without a word; the text says what to do."""
    found = judge({"maxmemory_policy": policy, "maxmemory": 1})
    assert "CONFIG SET maxmemory-policy noeviction" in found.refusal


@pytest.mark.parametrize("policy", SAFE)
def test_other_policies_pass(policy):
    """Streams have no time to live, so what drops only such keys drops none of them."""
    assert judge({"maxmemory_policy": policy, "maxmemory": 1 << 30, "used_memory": 1 << 20}) == Verdict()


def test_memory_without_a_limit_or_nearly_used_up_is_told():
    """Neither keeps anybody from starting."""
    assert "maxmemory 0" in judge({"maxmemory": 0}).warning
    assert "used 900 of 1000 MiB" in judge({"maxmemory": 1000 << 20, "used_memory": 900 << 20}).warning


async def test_the_server_itself_is_asked(client: Any, url: str):
    """F7: by INFO, which managed servers answer too."""
    await client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert (await verdict_on(url)).refusal
    finally:
        await client.config_set("maxmemory-policy", "noeviction")
    assert not (await verdict_on(url)).refusal


def test_a_cluster_is_refused():
    """Its nodes would send a batch from one to the other for ever: told at the start instead."""
    assert "one node" in judge({"maxmemory": 1 << 30}, cluster=True).refusal


async def test_a_server_that_is_away_is_no_reason():
    """Any service starts in any order: the relay tells later."""
    assert await verdict_on("redis://127.0.0.1:1/0") == Verdict()
