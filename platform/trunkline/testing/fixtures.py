"""Fixtures for pytest: `pytest_plugins = ["trunkline.testing.fixtures"]` in the topmost conftest.py or in a test file.

The one module of the library that needs pytest and pytest-asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from trunkline.testing.clock import FakeClock
from trunkline.testing.faults import FaultPlan
from trunkline.testing.local import LocalSystem
from trunkline.testing.tokens import TokenFactory

SETTLE_S = 2.0
"""Seconds in which what a test has begun must have ended after it."""


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still: the time of `tokens`, `local_system` and `service`."""
    return FakeClock()


@pytest.fixture
def faults(clock: FakeClock) -> FaultPlan:
    """What happens to every attempt in `local_system` and `service`. Latencies move the clock, and take no time."""
    return FaultPlan(clock.sleep)


@pytest.fixture
def tokens(clock: FakeClock) -> TokenFactory:
    """Makes the tokens that `local_system` and `service` know."""
    return TokenFactory(clock)


@pytest_asyncio.fixture
async def no_leaks() -> AsyncIterator[None]:
    """No task that the test starts outlives it. `local_system` and `service` bring it along."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=SETTLE_S)
    assert not left, f"tasks outlive the test: {sorted(str(task.get_coro()) for task in left)}"


@pytest_asyncio.fixture
async def local_system(
    tmp_path: Path,
    clock: FakeClock,
    faults: FaultPlan,
    tokens: TokenFactory,
    no_leaks: None,  # noqa: ARG001 - asked for here, it looks once the system has ended
) -> AsyncIterator[LocalSystem]:
    """Services in this process by their own `build`, with their databases in a folder of the test's."""
    async with LocalSystem(tmp_path, clock, faults=faults, tokens=tokens) as system:
        yield system


@pytest.fixture
def service(local_system: LocalSystem) -> Any:
    """Serves a servicer and gives a stub of it: `local_system.serve`, where types can be told by it.

    tally = await service(TallyServicer(unit), TallyServiceStub)
    """
    return local_system.serve
