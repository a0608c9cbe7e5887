"""What the tests of services share: a system in this process, and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalSystem


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still at 09:00 UTC on 5 January 2026."""
    return FakeClock()


@pytest.fixture
async def system(tmp_path: Path, clock: FakeClock) -> AsyncIterator[LocalSystem]:
    """A system without services; a test starts those it needs."""
    async with LocalSystem(tmp_path, clock) as system:
        yield system
