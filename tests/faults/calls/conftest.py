"""What the fault cases of calls share: two servers, one of which may be killed; no task is left, no handler runs on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from tests.faults.calls.instance import Instance
from tests.shop.waiting import until

SETTLE_S = 5.0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A server that nobody harms."""
    with Instance(tmp_path_factory.mktemp("server") / "var") as running:
        yield running


@pytest.fixture(scope="session")
def _second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with Instance(tmp_path_factory.mktemp("victim") / "var") as running:
        yield running


@pytest.fixture
def victim(_second: Instance) -> Iterator[Instance]:
    """A server that may be killed or stopped; it runs when a test begins."""
    if not _second.pid:
        _second.start()
    yield _second
    if _second.pid:
        _second.send(signal.SIGCONT)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A name for the calls of this test, that no other test uses."""
    name: str = request.node.name
    return "".join(one if one.isalnum() or one in "_-." else "-" for one in name)[:100]


@pytest.fixture(autouse=True)
async def _nothing_goes_on(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Every task that a test starts ends with it, and so does every handler of the servers it used."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=SETTLE_S)
    assert not left
    for name in {"server", "_second"} & set(request.fixturenames):
        instance: Instance = request.getfixturevalue(name)
        if instance.pid:
            await until(partial(_is_idle, instance), f"handlers of {name} have ended", SETTLE_S)


def _is_idle(instance: Instance) -> bool:
    return not instance.journal.running()
