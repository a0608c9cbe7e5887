"""What the tests of the account service share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.account.account_system import AccountSystem, running


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[AccountSystem]:
    """A new account service."""
    async with running(tmp_path / "var") as started:
        yield started
