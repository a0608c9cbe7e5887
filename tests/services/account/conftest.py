"""What the tests of the account service share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from trunkline.telemetry import audit
from trunkline.telemetry.logs import _call_fields
from trunkline.testing.clock import FakeClock

from services.account.handlers import password_check
from services.account.storage import signing_keys
from tests.services.account.account_system import AccountSystem, running


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[AccountSystem]:
    """A new account service."""
    async with running(tmp_path / "var") as started:
        yield started


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when told to."""
    return FakeClock()


@pytest.fixture
async def clocked(tmp_path: Path, clock: FakeClock) -> AsyncIterator[AccountSystem]:
    """A new account service that goes by that clock."""
    async with running(tmp_path / "clocked", clock) as started:
        yield started


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """What the service logs and its audit log, with the fields of the call as its own process would have them."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        None, processors=[_call_fields, capture], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )
    for module in (audit, password_check, signing_keys):
        monkeypatch.setattr(module, "_log", logger)
    return capture.entries
