"""What the fault cases of storage share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.trunkline.storage.kinds import Databases, made


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """One PostgreSQL server for all tests of a process; who stops it starts it again."""
    yield from made()
