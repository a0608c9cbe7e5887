"""Rate limits that processes share: decided in Redis, by one script and one command for all calls of a moment.

Where Redis is away, or slower than the time a call may wait for it, each process holds the limits alone, at once and
without asking; it looks for Redis beside the calls, and shares again when that answers in time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from trunkline.clock import Clock
from trunkline.policies.rate import Ask
from trunkline.redis_master import pool_at_master
from trunkline.state.addresses import database_url
from trunkline.state.rates import LocalRates, Store

DATABASE = 1
"""Redis' database of the limits, unless settings name another: events live in that of the address."""
PREFIX = "trunkline:rate:"
"""What every key begins with, unless settings say otherwise."""
ANSWER_S = 0.05
"""Seconds that Redis has to answer; a call waits no longer, and then once an outage."""
CONNECTIONS = 2
"""Connections at most: calls of a moment are one command."""
BACKOFF_S = (0.1, 5.0)
"""Longest first and longest wait between two looks whether Redis is back; it doubles."""
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local answers, key, arg = {}, 0, 0
while arg < #ARGV do
  local limits, wait, moved = tonumber(ARGV[arg + 1]), 0, {}
  arg = arg + 1
  for one = 1, limits do
    local name = KEYS[key + one]
    local per_s, burst, cost = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
    arg = arg + 3
    local free = math.max(tonumber(redis.call('GET', name) or '0'), now)
    local earliest = free + (math.min(cost, burst) - burst) / per_s
    if now < earliest - 0.000001 then
      wait = math.max(wait, earliest - now)
    end
    moved[one] = {name, free + cost / per_s}
  end
  key = key + limits
  if wait == 0 then
    for _, one in ipairs(moved) do
      local left_ms = math.ceil((one[2] - now) * 1000)
      redis.call('SET', one[1], string.format('%.6f', one[2]), 'PX', left_ms + 1000)
    end
  end
  answers[#answers + 1] = math.ceil(wait * 1000000)
end
return answers
"""
"""The algorithm of policies/rate.py, for the calls of a moment one after the other. Time is Redis': processes need not
agree about it. Arguments: for each call the number of its limits, then rate, burst and cost for each of these."""
_log = structlog.get_logger("trunkline.server")


class RedisRates:
    """Decides in Redis, and here while that is away."""

    decided_by: Store = "redis"
    """Where the next call is decided."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        database: int = DATABASE,
        prefix: str = PREFIX,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: Where Redis is, or Sentinels that know; the database in it is not used.
            clock: Time of the limits that are held here.
            database: The database.
            prefix: What every key begins with.
            uniform: Dice for the waits between looks.
        """
        self._local = LocalRates(clock)
        self._prefix = prefix
        self._uniform = uniform
        self._pool = pool_at_master(
            database_url(url, database),
            max_connections=CONNECTIONS,
            timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            client_name="trunkline-rates",
        )
        self._client: Any = Redis(connection_pool=self._pool)  # its own types say Any or less
        self._script = self._client.register_script(SCRIPT)
        self._waiting: list[tuple[Sequence[Ask], asyncio.Future[float]]] = []
        self._work: asyncio.Task[None] | None = None

    def ask(self, asks: Sequence[Ask]) -> float | asyncio.Future[float]:
        """Seconds until a call would pass all of its limits; 0 if it does. To be awaited while Redis answers."""
        if self.decided_by == "local":
            return self._local.ask(asks)
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append((asks, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer())
        return answer

    async def close(self) -> None:
        """Ends the work and the connection."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
        self._give_local(self._waiting)
        await self._client.aclose()
        await self._pool.disconnect()

    async def _answer(self) -> None:
        """Answers whoever waits, all at once, until nobody does; those that come meanwhile are the next."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                waits = await self._decide([asks for asks, _ in batch])
            except Exception as error:  # noqa: BLE001 - whatever it is, calls are not to wait for it
                self.decided_by = "local"
                _log.warning("rate limits are held by each process until Redis is back", error=str(error))
                self._give_local([*batch, *self._waiting])
                self._waiting = []
                # What it was connected to may be no master any more.
                await self._pool.disconnect()
                await self._until_back()
                return
            except BaseException:
                self._give_local(batch)
                raise
            for (asks, answer), wait_us in zip(batch, waits, strict=True):
                if not wait_us:
                    # So that an outage does not find everybody with a burst to spend.
                    self._local.ask(asks)
                if not answer.done():
                    answer.set_result(wait_us / 1e6)

    async def _decide(self, calls: Sequence[Sequence[Ask]]) -> list[int]:
        keys = [self._prefix + one.key for asks in calls for one in asks]
        arguments: list[float] = []
        for asks in calls:
            arguments.append(len(asks))
            for one in asks:
                arguments += (one.limit.per_s, one.limit.burst, one.cost)
        async with asyncio.timeout(ANSWER_S):
            answers: list[int] = await self._script(keys=keys, args=arguments)
        return answers

    def _give_local(self, batch: Sequence[tuple[Sequence[Ask], asyncio.Future[float]]]) -> None:
        for asks, answer in batch:
            if not answer.done():
                answer.set_result(self._local.ask(asks))

    async def _until_back(self) -> None:
        longest_s, tries = BACKOFF_S[0], 0
        while self.decided_by == "local":
            # Half of it by chance: processes that lost it together must not come back together.
            await asyncio.sleep(self._uniform(longest_s / 2, longest_s))
            longest_s, tries = min(2 * longest_s, BACKOFF_S[1]), tries + 1
            try:
                await self._decide([])
            except Exception:  # noqa: BLE001, S112 - told once, when it began
                continue
            self.decided_by = "redis"
            _log.info("rate limits are shared again", tries=tries)
