"""What these tests share: a shop whose clock can be set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.faults.resources.shop import FAKETIME, ClockedShop
from tests.shop.waiting import until_true

NOON = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
"""When it is noon in the demo shop, far from any midnight."""


@pytest.fixture(scope="package")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClockedShop]:
    """A shop at noon; skipped where libfaketime is not installed."""
    if not FAKETIME:
        pytest.skip("libfaketime is not installed: apt-get install libfaketime")
    shop = ClockedShop(tmp_path_factory.mktemp("clocked") / "var")
    shop.set_clock(NOON)
    with shop:
        yield shop


@pytest.fixture
def at_noon(clocked: ClockedShop) -> Iterator[ClockedShop]:
    """That shop, at noon again when the test is over."""
    yield clocked
    seen = clocked.set_clock(NOON)
    until_true(lambda: time.monotonic() > seen, lambda: "everybody has seen it", 10.0)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A name for the calls of this test, that no other test uses."""
    name: str = request.node.name
    return "".join(one if one.isalnum() or one in "_-." else "-" for one in name)[:100]
