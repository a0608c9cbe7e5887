"""Where the state of rate limits is kept: here, unless processes share it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Literal, Protocol

from trunkline.clock import Clock
from trunkline.policies.rate import Ask, RateBook
from trunkline.settings import PlatformSettings

Store = Literal["local", "redis"]
"""Where limits are decided."""


class Rates(Protocol):
    """Decides whether a call comes too soon."""

    @property
    def decided_by(self) -> Store:
        """Where the next call is decided."""
        ...

    def ask(self, asks: Sequence[Ask]) -> float | Awaitable[float]:
        """Seconds until a call would pass all of its limits; 0 if it does. Something to await only where need be."""
        ...

    async def close(self) -> None:
        """Ends what it has begun."""
        ...


class LocalRates:
    """Decides in this process, for this process."""

    decided_by: Store = "local"
    """Always here."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._book = RateBook()

    def ask(self, asks: Sequence[Ask]) -> float:
        """Seconds until a call would pass all of its limits; 0 if it does."""
        return self._book.ask(asks, self._clock.monotonic())

    async def close(self) -> None:
        """Ends nothing."""


def rates_of(settings: PlatformSettings, clock: Clock) -> Rates:
    """What decides the rate limits of a server with these settings."""
    if settings.rate_store == "local":
        return LocalRates(clock)
    # Servers without it need no Redis, nor its client's imports.
    from trunkline.state.redis_rates import RedisRates

    prefix = f"{settings.redis_prefix}rate:"
    return RedisRates(settings.redis_url, clock, database=settings.redis_state_database, prefix=prefix)
