"""The streams and channels themselves, looked at with a plain Redis client."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from trunkline.events.topics import DEFAULT_SHARDS, stream_name

from tests.shop.books import topics


def client(url: str) -> Any:
    """A plain client; a context manager. Its own types know RESP2 and RESP3 at once, and so nothing."""
    return Redis.from_url(url, protocol=2, socket_timeout=5.0)


def entries(redis: Any, topic: str) -> list[bytes]:
    """What stands in the streams of a topic."""
    found = []
    for shard in range(DEFAULT_SHARDS):
        found += [fields[b"e"] for _, fields in redis.xrange(stream_name(topic, shard))]
    return found


def unread(url: str) -> list[str]:
    """Entries that a group has not read, or has read and not acknowledged."""
    found = []
    with client(url) as redis:
        for topic in topics().values():
            for shard in range(DEFAULT_SHARDS):
                found += _behind(redis, stream_name(topic.name, shard), topic.groups)
    return found


def _behind(redis: Any, stream: str, groups: frozenset[str]) -> list[str]:
    try:
        there = {group["name"].decode(): group for group in redis.xinfo_groups(stream)}
    except ResponseError:
        # A shard that no terminal falls into has no stream, unless its readers came first.
        return []
    missing = [f"{stream} has no group {group}" for group in groups - there.keys()]
    return missing + [
        f"{stream}: {name} has {group['pending']} pending and {group['lag']} to read"
        for name, group in there.items()
        if group["pending"] or group["lag"]
    ]
