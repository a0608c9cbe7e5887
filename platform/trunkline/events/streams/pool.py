"""The one connection of a link to Redis: nothing is retried, nothing waits for ever, nothing is replaced silently."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from trunkline.redis_master import pool_at_master

ANSWER_S = 5.0
"""Seconds an answer may take."""
CONNECT_S = 2.0
"""Seconds a connection may take."""


def pool_at(url: str, name: str, block_s: float, on_connect: Callable[[Connection], Awaitable[None]]) -> Any:
    """A pool of one connection.

    Args:
        url: Of the server.
        name: Whose connection it is, for `CLIENT LIST`.
        block_s: Longest time that a read waits for entries, beside the answer's own.
        on_connect: Lets a new connection be used, or raises.
    """
    return pool_at_master(
        url,
        max_connections=1,
        timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=ANSWER_S + block_s,
        socket_connect_timeout=CONNECT_S,
        socket_keepalive=True,
        client_name=f"trunkline-{name}",
        redis_connect_func=on_connect,
    )
