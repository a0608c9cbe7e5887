"""A time during which Redis or the database is away: told once when it begins, once when it is over."""

from __future__ import annotations

import random
from collections.abc import Callable

import grpc
import structlog

from trunkline.errors import PLATFORM_DOMAIN, ServiceError
from trunkline.events.streams.link import RedisUnavailable

BASE_S = 0.05
"""Longest first wait, in seconds; it doubles with every try."""
CAP_S = 2.0
"""No wait is longer, in seconds."""
_log = structlog.get_logger("trunkline.events")


class Outage:
    """The state of one loop's way to what it needs."""

    def __init__(self, loop: str, *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self.error: Exception | None = None
        """What is wrong; None while nothing is."""
        self._loop = loop
        self._uniform = uniform
        self._tries = 0

    def failed(self, error: Exception) -> float:
        """Notes a failed try; gives the seconds to wait before the next."""
        if self.error is None:
            _log.warning("paused until it is back", loop=self._loop, error=str(error))
        self.error = error
        longest_s = min(CAP_S, BASE_S * 2 ** min(self._tries, 10))
        self._tries += 1
        # Half of it by chance: what failed together must not come back together, nor at once.
        return self._uniform(longest_s / 2, longest_s)

    def over(self) -> None:
        """Notes that work was done."""
        if self.error is not None:
            _log.info("is back", loop=self._loop, tries=self._tries)
            self.error, self._tries = None, 0

    async def check(self) -> None:
        """Says nothing unless something is away.

        Raises:
            RedisUnavailable: Redis, or the database, is.
        """
        if self.error is not None:
            raise RedisUnavailable(str(self.error))


def storage_away(error: BaseException) -> bool:
    """Whether a failure is the database's own, so that no event is to blame."""
    return (
        isinstance(error, ServiceError)
        and error.domain == PLATFORM_DOMAIN
        and error.reason == "STORAGE_UNAVAILABLE"
        and error.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
    )
