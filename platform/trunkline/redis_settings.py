"""Settings of what is in Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings


class RedisSettings(BaseSettings):
    """Part of the platform's settings. All but the first two are read from TRUNKLINE_<NAME>."""

    redis_url: str = Field(default="", validation_alias="REDIS_URL")
    """Redis that carries the events. Needed by every service that publishes or consumes."""
    redis_url_file: Path | None = Field(default=None, validation_alias="REDIS_URL_FILE")
    """File that holds REDIS_URL instead: an environment is seen by more eyes than a file."""
    event_window_s: float = Field(default=3600.0, ge=0, le=31_536_000)
    """Seconds that events stay in their streams, once every group has confirmed them; the outbox keeps them all."""
    redis_check: Literal["refuse", "warn"] = "refuse"
    """Whether a Redis that may drop events when memory is short keeps a service from starting."""
    redis_state_database: int = Field(default=1, ge=0, le=1_000_000)
    """Redis' database of short-lived state: shared rates, answers of the last hour. Events are in that of REDIS_URL."""
    redis_cache_database: int = Field(default=2, ge=0, le=1_000_000)
    """Redis' database of what services cache. A cluster has one: set both to 0, the prefix keeps them apart."""
    redis_prefix: str = Field(default="trunkline:", pattern=r"^[A-Za-z0-9_.:-]{0,64}$")
    """What the names of all keys of state begin with: systems that share a Redis have one each."""
    rate_store: Literal["local", "redis"] = "local"
    """local: each process holds the limits for itself; redis: the processes of a service hold them together."""
    answer_cache: Literal["off", "redis"] = "off"
    """redis: a call that is repeated finds its answer of the last hour there, without a read of the database."""

    @model_validator(mode="after")
    def _has_redis(self) -> Self:
        if self.rate_store == "redis" and not self.redis_url:
            raise ValueError("TRUNKLINE_RATE_STORE is redis: set REDIS_URL, or leave it local")
        if self.answer_cache == "redis" and not self.redis_url:
            raise ValueError("TRUNKLINE_ANSWER_CACHE is redis: set REDIS_URL, or leave it off")
        return self
