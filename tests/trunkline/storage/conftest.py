"""What the tests of storage share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from trunkline.storage import Database, UnitOfWork
from trunkline.testing.clock import FakeClock

from tests.trunkline.storage.bench import METADATA, PLATFORM, SOURCE


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An open database with the bench's tables."""
    database = Database(tmp_path / "bench.db", METADATA, busy_timeout_s=0.2)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def woken() -> list[None]:
    """Grows by one each time the relay is woken."""
    return []


@pytest.fixture
def unit(database: Database, tmp_path: Path, clock: FakeClock, woken: list[None]) -> UnitOfWork:
    """The unit of work of the bench."""
    return UnitOfWork(
        database,
        PLATFORM,
        source=SOURCE,
        secret_file=tmp_path / "answers.secret",
        clock=clock,
        wake=lambda: woken.append(None),
    )
