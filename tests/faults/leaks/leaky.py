"""A shop that tells as much as it can: every message logged, every call traced, metrics on, a Redis with a password."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.events.streams.link import Link
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.launcher.ports import free_range

from deploy.local.system import SERVICES
from tests.shop.running import RunningShop
from tests.trunkline.telemetry.collector import Collector, collecting


@dataclass
class LeakyShop(RunningShop):
    """The shop, with these settings."""

    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """As of the others, and more."""
        return {**super().environment, **self.more}


@dataclass(frozen=True, slots=True)
class Leaky:
    """Everything that could hold what must not be held."""

    shop: LeakyShop
    collector: Collector
    redis: EmbeddedRedis
    redis_password: str
    folder: Path
    """Of all files of shop and Redis."""
    metrics_ports: range


@asynccontextmanager
async def leaky(folder: Path) -> AsyncIterator[Leaky]:
    """Runs it all for the length of a block."""
    password, metrics_port = f"canary-{secrets.token_hex(12)}", free_range(len(SERVICES))
    async with collecting() as collector, embedded_redis(folder / "redis", persistent=True) as redis:
        link = Link(redis.url, name="test")
        await link.connect()
        await link.ask([("CONFIG SET", "requirepass", password)])
        await link.close()
        url_file = folder / "redis-url"
        url_file.write_text(redis.url.replace("://", f"://:{password}@"))
        url_file.chmod(0o600)
        shop = LeakyShop(
            folder / "shop" / "var",
            more={
                "TRUNKLINE_LOG_MESSAGES": "always",
                "TRUNKLINE_TRACE_RATIO": "1",
                "TRUNKLINE_OTLP_ENDPOINT": collector.endpoint,
                "POS_METRICS_PORT": str(metrics_port),
                "REDIS_URL_FILE": str(url_file),
            },
        )
        shop.var_dir.mkdir(parents=True)
        try:
            # In a thread: the collector answers meanwhile.
            await asyncio.to_thread(shop.__enter__)
            yield Leaky(shop, collector, redis, password, folder, range(metrics_port, metrics_port + len(SERVICES)))
        finally:
            await asyncio.to_thread(shop.stop)
