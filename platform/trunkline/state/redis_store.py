"""State in Redis: RESP2, commands up to Redis 6.2, and connections of its own: nobody's waiting read is in the way.

Nothing is repeated here: a repeated change is made twice, and a repeated create finds its own value and says "taken".
Redis that does not answer in time is away for everybody at once, until a look beside the calls finds it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from trunkline.state.addresses import database_url
from trunkline.state.store import (
    VERSION_BYTES,
    Stored,
    Version,
    new_version,
    state_unavailable,
    state_unknown,
    ttl_ms,
)

ANSWER_S = 0.1
"""Seconds that an operation may take, a connection included."""
CONNECTIONS = 16
"""Connections of a store; more operations at once wait for one, inside ANSWER_S."""
BACKOFF_S = (0.05, 2.0)
"""Longest first and longest wait between two looks whether Redis is back; it doubles. The first look is at once."""
REPLACE = f"""
if redis.call('GETRANGE', KEYS[1], 0, {VERSION_BYTES - 1}) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
"""Compare and set. One key, so that it runs in a cluster; a value begins with its version."""
_log = structlog.get_logger("trunkline.server")


@dataclass(slots=True)
class _Step:
    """How far an exchange has come."""

    sent: bool = False


class RedisStore:
    """A StateStore in one database of Redis, under a prefix."""

    def __init__(
        self,
        url: str,
        *,
        database: int,
        prefix: str,
        answer_s: float | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: Where Redis is; the database in it is not used.
            database: The database; a cluster has 0 only.
            prefix: What every key begins with. In braces it is a tag, which keeps all keys on one node of a cluster.
            answer_s: Seconds that an operation may take; ANSWER_S where it is not given.
            uniform: Dice for the waits between looks.
        """
        self.away = False
        """Whether operations fail at once, because Redis did not answer."""
        self._prefix = prefix
        self._answer_s = ANSWER_S if answer_s is None else answer_s
        self._uniform = uniform
        self._pool: Any = BlockingConnectionPool.from_url(  # its own types say less
            database_url(url, database),
            max_connections=CONNECTIONS,
            timeout=self._answer_s,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=self._answer_s,
            socket_connect_timeout=self._answer_s,
            socket_keepalive=True,
            client_name="trunkline-state",
        )
        self._looking: asyncio.Task[None] | None = None

    async def get(self, key: str) -> Stored | None:
        """The value, or None: it is not there."""
        return _stored(await self._ask("GET", self._prefix + key))

    async def get_many(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Those of the values that are there."""
        if not keys:
            return {}
        values = await self._ask("MGET", *(self._prefix + key for key in keys))
        return {key: found for key, value in zip(keys, values, strict=True) if (found := _stored(value)) is not None}

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> Version:
        """Puts a value there, whatever was."""
        version = new_version()
        await self._change("SET", self._prefix + key, version + value, "PX", ttl_ms(ttl_s))
        return version

    async def create(self, key: str, value: bytes, *, ttl_s: float) -> Version | None:
        """Puts a value there if there is none."""
        version = new_version()
        done = await self._change("SET", self._prefix + key, version + value, "NX", "PX", ttl_ms(ttl_s))
        return version if done is not None else None

    async def replace(self, key: str, value: bytes, *, version: Version, ttl_s: float) -> Version | None:
        """Puts a value in the place of one version."""
        following = new_version()
        arguments = (version, following + value, ttl_ms(ttl_s))
        return following if await self._change("EVAL", REPLACE, 1, self._prefix + key, *arguments) else None

    async def delete(self, key: str) -> bool:
        """Takes a value away; says whether there was one."""
        return bool(await self._change("DEL", self._prefix + key))

    async def close(self) -> None:
        """Ends the looking and the connections."""
        self.away = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._pool.disconnect()

    async def _ask(self, *command: Any) -> Any:
        return await self._answer(command, changes=False)

    async def _change(self, *command: Any) -> Any:
        return await self._answer(command, changes=True)

    async def _answer(self, command: Sequence[Any], *, changes: bool) -> Any:
        """What Redis says to one command that is sent once."""
        if self.away:
            raise state_unavailable("Redis is away")
        step = _Step()
        try:
            return await self._exchange(command, step)
        except (BusyLoadingError, ResponseError) as error:
            # It has answered: it does not do this.
            raise state_unavailable(_told(error)) from error
        except (RedisError, OSError) as error:  # TimeoutError is one of the latter
            self._lost(error)
            raise (state_unknown if step.sent and changes else state_unavailable)(_told(error)) from error

    async def _exchange(self, command: Sequence[Any], step: _Step) -> Any:
        async with asyncio.timeout(self._answer_s):
            connection = await self._pool.get_connection()
            try:
                step.sent = True
                await connection.send_command(*command)
                return await connection.read_response()
            finally:
                await self._pool.release(connection)

    def _lost(self, error: Exception) -> None:
        if self.away:
            return
        self.away = True
        _log.warning("shared state is not to be had until Redis is back", error=_told(error))
        self._looking = asyncio.create_task(self._until_back())

    async def _until_back(self) -> None:
        longest_s, tries = BACKOFF_S[0], 0
        while True:
            tries += 1
            if await self._answers():
                break
            # Half of it by chance: processes that lost it together must not come back together.
            await asyncio.sleep(self._uniform(longest_s / 2, longest_s))
            longest_s = min(2 * longest_s, BACKOFF_S[1])
        self.away = False
        _log.info("shared state is to be had again", tries=tries)

    async def _answers(self) -> bool:
        try:
            await self._exchange(("PING",), _Step())
        except (RedisError, OSError):
            return False
        return True


def _stored(value: bytes | None) -> Stored | None:
    if value is None:
        return None
    if len(value) < VERSION_BYTES:
        raise state_unavailable("somebody else has written there")
    return Stored(value[VERSION_BYTES:], Version(value[:VERSION_BYTES]))


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
