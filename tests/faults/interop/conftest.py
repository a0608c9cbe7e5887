"""What the interop cases share: no task outlives its test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

SETTLE_S = 5.0


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    """Every task that a test starts ends with it, those of cancelled and failed calls included."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=SETTLE_S)
    assert not left
