"""The registry in Redis: a hash per service, its fields the instances, each with the end of its lease.

Redis's own clock says when a lease ends, so that machines need not agree on the time. RESP2, and commands up to
Redis 6.2. Nothing is retried here: whoever renews or reads does so again in a moment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError

from trunkline.redis_master import pool_at_master
from trunkline.registry.instance import Instance, decode
from trunkline.registry.registry import RegistryUnavailable

ANSWER_S = 1.0
"""Seconds an answer, or a connection, may take."""
PREFIX = "trunkline:registry:"
"""What its keys begin with."""
NAMES = f"{PREFIX}services"
"""Set of the names of all services that ever had an instance."""

_RENEW = """
local now = redis.call('TIME')
local ends = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', ends, ARGV[2]))
-- Others may have longer leases in the same hash: its life is never shortened.
if redis.call('PTTL', KEYS[1]) < ARGV[3] * 2 then
    redis.call('PEXPIRE', KEYS[1], ARGV[3] * 2)
end
"""
_READ = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local found = {}
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
    local ends, instance = string.match(entries[i + 1], '^(%d+) (.*)$')
    if ends and tonumber(ends) > now then
        found[#found + 1] = instance
    else
        redis.call('HDEL', KEYS[1], entries[i])
    end
end
return found
"""


class RedisRegistry:
    """Who serves what."""

    def __init__(self, url: str) -> None:
        """Describes the connection, to a server or to whichever Sentinels name; it is opened when first needed."""
        self._pool = pool_at_master(
            url,
            max_connections=2,
            timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            client_name="trunkline-registry",
        )
        self._client: Any = Redis(connection_pool=self._pool)  # its own types say Any or less
        self._renew = self._client.register_script(_RENEW)
        self._read = self._client.register_script(_READ)

    async def renew(self, instance: Instance, lease_s: float) -> None:
        """Says that an instance is there, and for how long that may be believed.

        Raises:
            RegistryUnavailable: nobody knows whether it was heard.
        """
        async with self._mapped():
            keys, lease_ms = [_key(instance.service)], max(1, int(lease_s * 1000))
            await self._renew(keys=keys, args=[instance.instance_id, instance.encode(), lease_ms])
            await self._client.sadd(NAMES, instance.service)

    async def remove(self, instance: Instance) -> None:
        """Says that an instance is gone.

        Raises:
            RegistryUnavailable: it will be forgotten when its lease ends.
        """
        async with self._mapped():
            await self._client.hdel(_key(instance.service), instance.instance_id)

    async def read(self, services: Sequence[str]) -> dict[str, list[Instance]]:
        """The instances of some services whose lease runs, oldest first.

        Raises:
            RegistryUnavailable: it does not say.
        """
        found: dict[str, list[Instance]] = {}
        async with self._mapped():
            for service in services:
                instances = [decode(entry) for entry in await self._read(keys=[_key(service)])]
                mine = [one for one in instances if one is not None and one.service == service]
                found[service] = sorted(mine, key=lambda one: (one.start_time, one.instance_id))
        return found

    async def services(self) -> list[str]:
        """Names of all services that ever had an instance.

        Raises:
            RegistryUnavailable: it does not say.
        """
        async with self._mapped():
            return sorted(name.decode("utf-8", "replace") for name in await self._client.smembers(NAMES))

    async def close(self) -> None:
        """Closes the connections."""
        async with self._mapped():
            await self._client.aclose()
            await self._pool.disconnect()

    @asynccontextmanager
    async def _mapped(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ReadOnlyError):
                # It was the master: who is that now is asked when the next connection is made.
                await self._pool.disconnect()
            raise RegistryUnavailable(type(error).__name__) from error


def _key(service: str) -> str:
    return f"{PREFIX}{{{service}}}"
