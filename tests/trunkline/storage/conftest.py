"""What the tests of storage share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from trunkline.storage import Database, UnitOfWork
from trunkline.testing.clock import FakeClock

from tests.trunkline.storage.bench import METADATA, PLATFORM, SOURCE
from tests.trunkline.storage.kinds import Databases, made, opened


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of a module run on the kinds of databases that it names."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", getattr(metafunc.module, "KINDS", ("sqlite",)), scope="function")


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """One PostgreSQL server for all tests of a process."""
    yield from made()


@pytest.fixture
async def database(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """An open database with the bench's tables."""
    one = await opened(kind, METADATA, tmp_path / "bench.db", request)
    yield one
    await one.close()


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
