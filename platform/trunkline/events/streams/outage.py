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
MEND = {
    UNREACHABLE: "start Redis, or have REDIS_URL name where it is",
    REFUSED: "look at the error, and at the log of Redis",
    "CLUSTERDOWN": "name a single server in REDIS_URL: events need one node",
    "LOADING": "wait: Redis reads its files",
    "MASTERDOWN": "name the master in REDIS_URL, or the Sentinels",
    "MISCONF": "look at the log of Redis: it cannot write to its disk",
    "NOAUTH": "put the password into REDIS_URL, or into the file of REDIS_URL_FILE",
    "NOGROUP": "nothing: the stream and its group are made again, and what was lost is sent again",
    "NOPERM": "grant the user of REDIS_URL what the error names",
    "NOREPLICAS": "start the replicas of Redis, or set its min-replicas-to-write lower",
    "OOM": "raise maxmemory of Redis, and see who is behind: trunkline events lag",
    "READONLY": "name the master in REDIS_URL, or the Sentinels",
    "WRONGPASS": "put the password into REDIS_URL, or into the file of REDIS_URL_FILE",
    "WRONGTYPE": "DEL the key that the error names: what belongs there is made and sent again",
    "STORAGE_UNAVAILABLE": "look at the service's own database: its disk, its file, who holds it",
}
"""Reason → what to do about it; what is not in it ends by itself."""
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
        said = {
            "loop": self._loop,
            "away": "database" if isinstance(error, ServiceError) else "redis",
            "reason": reason,
            "error": str(error),
            "mend": MEND.get(reason, "wait"),
        }
        if self.error is None:
            _log.warning("paused until it is back", **said)
        elif reason != self._told and now >= self._told_at + AGAIN_S:
            _log.warning("still paused, for another reason", **said)
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
