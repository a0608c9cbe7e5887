"""What the cases of a server's life share: names for calls, and no task that is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

SETTLE_S = 5.0


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A name for the calls of this test, that no other test uses."""
    name: str = request.node.name
    return "".join(one if one.isalnum() or one in "_-." else "-" for one in name)[:100]


@pytest.fixture(autouse=True)
async def _nothing_goes_on() -> AsyncIterator[None]:
    """Every task that a test starts ends with it."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=SETTLE_S)
    assert not left
