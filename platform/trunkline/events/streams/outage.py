"""A time during which Redis or the database is away: told when it begins, when its reason changes, when it is over."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import grpc
import structlog

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import PLATFORM_DOMAIN, ServiceError
from trunkline.events.streams.link import RedisUnavailable

BASE_S = 0.05
"""Longest first wait, in seconds; it doubles with every try."""
CAP_S = 2.0
"""No wait is longer, in seconds."""
AGAIN_S = 5.0
"""Seconds between two lines about one outage, at least: a server that comes up says something else every second."""
UNREACHABLE = "UNREACHABLE"
"""The reason where Redis does not answer, or not to the end."""
REFUSED = "REFUSED"
"""The reason where it answers something else than was asked."""
SAID = frozenset(
    {
        *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOGROUP", "NOPERM", "NOREPLICAS"),
        *("OOM", "READONLY", "UNBLOCKED", "WRONGPASS", "WRONGTYPE"),
    }
)
"""Reasons that Redis gives, by the word its errors begin with; all others are REFUSED."""
_CODE = re.compile(r"[A-Z]{2,}(?= |$)")
_log = structlog.get_logger("trunkline.events")


def reason_of(error: Exception) -> str:
    """Why it is away, in one word of a few."""
    if isinstance(error, ServiceError):
        return error.reason
    code = _CODE.match(str(error))
    if code is None:
        return UNREACHABLE
    return code[0] if code[0] in SAID else REFUSED


class Outage:
    """The state of one loop's way to what it needs."""

    def __init__(
        self,
        loop: str,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.error: Exception | None = None
        """What is wrong; None while nothing is."""
        self.begun = Counter[str]()
        """Outages so far, by reason; one whose reason changes counts for each."""
        self._loop = loop
        self._uniform = uniform
        self._clock = clock
        self._tries = 0
        self._since = self._told_at = 0.0
        self._reason = self._told = ""

    @property
    def lasts_s(self) -> float:
        """Seconds since it began; 0 while nothing is wrong."""
        return self._clock.monotonic() - self._since if self.error is not None else 0.0

    def failed(self, error: Exception) -> float:
        """Notes a failed try; gives the seconds to wait before the next."""
        reason, now = reason_of(error), self._clock.monotonic()
        if self.error is None:
            self._since = now
        if self.error is None or reason != self._reason:
            self.begun[reason] += 1
        self._tell(reason, error, now)
        self.error, self._reason = error, reason
        longest_s = min(CAP_S, BASE_S * 2 ** min(self._tries, 10))
        self._tries += 1
        # Half of it by chance: what failed together must not come back together, nor at once.
        return self._uniform(longest_s / 2, longest_s)

    def _tell(self, reason: str, error: Exception, now: float) -> None:
        if self.error is None:
            _log.warning("paused until it is back", loop=self._loop, reason=reason, error=str(error))
        elif reason != self._told and now >= self._told_at + AGAIN_S:
            _log.warning("still paused, for another reason", loop=self._loop, reason=reason, error=str(error))
        else:
            return
        self._told, self._told_at = reason, now

    def over(self) -> None:
        """Notes that work was done."""
        if self.error is not None:
            _log.info("is back", loop=self._loop, tries=self._tries, seconds=round(self.lasts_s, 1))
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
