"""What the wire tests share: no task outlives its test, and time where it must stand still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from trunkline.testing.clock import FakeClock

SETTLE_S = 2.0


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    """Every task that a test starts ends with it, those of cancelled and failed calls included."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=SETTLE_S)
    assert not left
