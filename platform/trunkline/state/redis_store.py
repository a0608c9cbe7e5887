"""State in Redis: RESP2, commands up to Redis 6.2, and connections of its own: nobody's waiting read is in the way.

Nothing is repeated here: a repeated change is made twice, and a repeated create finds its own value and says "taken".
Redis that does not answer in time is away for everybody at once, until a look beside the calls finds it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from trunkline.state.addresses import database_url
from trunkline.state.redis_nodes import RedisNodes, Step
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
        self._nodes = RedisNodes(database_url(url, database), self._answer_s)
        self._looking: asyncio.Task[None] | None = None

    async def get(self, key: str) -> Stored | None:
        """The value, or None: it is not there."""
        return _stored(await self._answer(key, "GET", changes=False))

    async def get_many(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Those of the values that are there."""
        if not keys:
            return {}
        others = [self._prefix + key for key in keys[1:]]
        values = await self._answer(keys[0], "MGET", *others, changes=False)
        return {key: found for key, value in zip(keys, values, strict=True) if (found := _stored(value)) is not None}

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> Version:
        """Puts a value there, whatever was."""
        version = new_version()
        await self._answer(key, "SET", version + value, "PX", ttl_ms(ttl_s), changes=True)
        return version

    async def create(self, key: str, value: bytes, *, ttl_s: float) -> Version | None:
        """Puts a value there if there is none."""
        version = new_version()
        done = await self._answer(key, "SET", version + value, "NX", "PX", ttl_ms(ttl_s), changes=True)
        return version if done is not None else None

    async def replace(self, key: str, value: bytes, *, version: Version, ttl_s: float) -> Version | None:
        """Puts a value in the place of one version."""
        following = new_version()
        arguments = (version, following + value, ttl_ms(ttl_s))
        done = await self._answer(key, "EVAL", *arguments, before=(REPLACE, 1), changes=True)
        return following if done else None

    async def delete(self, key: str) -> bool:
        """Takes a value away; says whether there was one."""
        return bool(await self._answer(key, "DEL", changes=True))

    async def close(self) -> None:
        """Ends the looking and the connections."""
        self.away = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._nodes.close()

    async def _answer(self, key: str, name: str, *arguments: Any, changes: bool, before: tuple[Any, ...] = ()) -> Any:
        """What Redis says to one command about a key, which is sent once."""
        if self.away:
            raise state_unavailable("Redis is away")
        step, place = Step(), self._prefix + key
        try:
            return await self._nodes.exchange(place, (name, *before, place, *arguments), step)
        except (BusyLoadingError, ResponseError) as error:
            # It has answered: it does not do this.
            raise state_unavailable(_told(error)) from error
        except (RedisError, OSError) as error:  # TimeoutError is one of the latter
            self._lost(place, error)
            raise (state_unknown if step.sent and changes else state_unavailable)(_told(error)) from error

    def _lost(self, place: str, error: Exception) -> None:
        if self.away:
            return
        self.away = True
        _log.warning("shared state is not to be had until Redis is back", error=_told(error))
        self._looking = asyncio.create_task(self._until_back(place))

    async def _until_back(self, place: str) -> None:
        longest_s, tries = BACKOFF_S[0], 0
        while True:
            tries += 1
            if await self._answers(place):
                break
            # Half of it by chance: processes that lost it together must not come back together.
            await asyncio.sleep(self._uniform(longest_s / 2, longest_s))
            longest_s = min(2 * longest_s, BACKOFF_S[1])
        self.away = False
        _log.info("shared state is to be had again", tries=tries)

    async def _answers(self, place: str) -> bool:
        """Whether whoever has the key that was lost answers; in a cluster the others do all the time."""
        try:
            await self._nodes.exchange(place, ("EXISTS", place), Step())
        except ResponseError:
            return True  # a refusal is an answer
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
