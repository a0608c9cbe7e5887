"""What the tests of identity share."""

from __future__ import annotations

import pytest
from trunkline.testing.clock import FakeClock

from tests.trunkline.auth.identity_system import System


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def system(clock: FakeClock) -> System:
    """A system with one key."""
    return System(clock)
