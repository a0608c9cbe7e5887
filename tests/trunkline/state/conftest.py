"""A Redis of the test's own, with a proxy before it, and what its rates log."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.state import redis_rates
from trunkline.testing.fault_proxy import FaultProxy


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server that the test may stop; it forgets everything when it does."""
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def proxy(own_server: EmbeddedRedis) -> AsyncIterator[FaultProxy]:
    """Before that server."""
    async with FaultProxy("127.0.0.1", own_server.port) as proxy:
        yield proxy


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """What is logged."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.BoundLogger)
    monkeypatch.setattr(redis_rates, "_log", logger)
    return capture.entries
