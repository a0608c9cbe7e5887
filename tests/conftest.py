"""What all tests share: logs that only tell of errors, and a shop that runs once for those that need it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from trunkline.launcher import ports
from trunkline.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from tests.shop.running import RunningShop

configure_logs("test", "error")
SERVER = os.environ.get("TEST_REDIS_SERVER")
if SERVER is not None:
    # Another server than the pinned one: Redis of any version since 6.2, or Valkey.
    from trunkline.launcher import embedded

    embedded._bundled = partial(Path, SERVER)
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER is not None:
    # Each takes ports from a part of its own: two would give one away between its choice and its use.
    WIDTH = (ports.HIGHEST - ports.LOWEST) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    ports.LOWEST += int(WORKER.removeprefix("gw")) * WIDTH
    ports.HIGHEST = ports.LOWEST + WIDTH
ROOT = Path(__file__).parent
SLOWER = (
    "trunkline/testing",
    "trunkline/storage",
    "trunkline/events",
    "trunkline/launcher",
    "trunkline/cli",
    "docs",
    "e2e",
    "faults",
)
"""Folders whose tests start servers or processes, or fill databases."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `make check` leaves to `make test`: those folders, and whole services."""
    for item in items:
        place = item.path.relative_to(ROOT).as_posix()
        whole_service = place.startswith("services/") and not {"domain", "kernel", "wire"} & set(place.split("/"))
        if whole_service or place.startswith(SLOWER):
            item.add_marker("servers")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """The whole shop as `make run` runs it, started once for all tests that need it: a start takes seconds."""
    # Imported here: most tests need nothing of it.
    from tests.shop.running import RunningShop

    with RunningShop(tmp_path_factory.mktemp("shop") / "var") as running:
        yield running
