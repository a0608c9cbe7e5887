"""Whether a Redis may carry events: one that drops keys when memory is short loses whole streams without a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.events.streams.link import Link, RedisUnavailable

SAFE = ("noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl")
"""Policies that drop no stream: streams have no time to live."""
HIGH = 0.85
"""Share of its memory from which on a server is nearly full."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a server."""

    refusal: str = ""
    """Why nobody should start on it, and what to do; empty if they may."""
    warning: str = ""
    """What is worth knowing; empty if nothing is."""


def judge(memory: Mapping[str, Any], *, cluster: bool = False) -> Verdict:
    """The verdict on a server, from its `INFO memory`, and on whether it is a node of a cluster."""
    if cluster:
        return Verdict(
            refusal="Redis is a cluster, and events need one node, because a batch goes to several streams at once: "
            "name a single server (state may stay in the cluster: docs/state.md)"
        )
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    most, used = int(memory.get("maxmemory", 0)), int(memory.get("used_memory", 0))
    if policy not in SAFE:
        return Verdict(
            refusal=f"Redis drops any key when memory is short (maxmemory-policy {policy}), and with it events that "
            "nobody has read: CONFIG SET maxmemory-policy noeviction, or give caches a server of their own"
        )
    if not most:
        return Verdict(warning="Redis has no memory limit (maxmemory 0): what is not read takes the machine's")
    if used > HIGH * most:
        return Verdict(warning=f"Redis has used {used >> 20} of {most >> 20} MiB: when it is full, events wait")
    return Verdict()


async def verdict_on(url: str) -> Verdict:
    """The verdict on the server at an address; one that is away now is judged by whoever reaches it first."""
    link = Link(url, name="check")
    try:
        await link.connect()
        return await ask(link)
    except RedisUnavailable:
        return Verdict()
    finally:
        await link.close()


async def ask(link: Link) -> Verdict:
    """The verdict on the server that a link has.

    Raises:
        RedisUnavailable: it does not say.
    """
    memory, cluster = await link.ask([("INFO", "memory"), ("INFO", "cluster")])
    # Who hides it has reasons of their own: a managed server that forbids the question is no reason to stop.
    if not isinstance(memory, Mapping):
        return Verdict()
    return judge(memory, cluster=isinstance(cluster, Mapping) and bool(cluster.get("cluster_enabled")))
