"""Calls that have come are let in before work begins, and what wakes the loop is read as it comes."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.interceptors.intake import ASKED_FOR, ENTRY_TURNS, Intake
from trunkline.interceptors.wakeups import take_wakeups
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.interceptors.shapes import send


async def turns(count: int) -> None:
    """Lets the loop turn so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


class Calls:
    """Calls that come to an intake, and the order in which they begin."""

    def __init__(self) -> None:
        self.now = 0.0
        self.intake = Intake(lambda: self.now)
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def enter(self, *names: str) -> None:
        """These are in."""
        for name in names:
            self.tasks[name] = asyncio.create_task(self._call(name))

    def come(self) -> Any:
        """One more has come, and is not in yet."""
        task: Any = asyncio.get_running_loop().create_future()
        self.intake.came.append(task)
        return task

    async def _call(self, name: str) -> None:
        pending = self.intake.turn()
        if pending is not None:
            await pending
        self.begun.append(name)


async def test_a_call_begins_at_once_where_no_other_comes():
    """It awaits nothing."""
    assert Intake().turn() is None


async def test_calls_wait_until_those_that_came_are_in():
    """None begins while one has come that is not in; then they begin in their order, one a turn."""
    calls = Calls()
    calls.come()
    calls.enter("a", "b", "c")
    await turns(50)
    assert calls.begun == []
    calls.intake.came.clear()
    seen = []
    for _ in range(ENTRY_TURNS + 6):
        await turns(1)
        seen.append(len(calls.begun))
    assert calls.begun == ["a", "b", "c"]
    assert all(after - before <= 1 for before, after in pairwise(seen))
    assert calls.intake.turn() is None


async def test_a_call_that_leaves_while_it_waits_holds_nobody_up():
    """Its place goes to the next."""
    calls = Calls()
    calls.come()
    calls.enter("a", "b")
    await turns(2)
    calls.tasks["a"].cancel()
    await asyncio.wait({calls.tasks["a"]})
    calls.intake.came.clear()
    await calls.tasks["b"]
    assert calls.begun == ["b"]


async def test_calls_without_end_leave_work_half_of_the_time():
    """Though another comes every turn: none begins for 20 ms, then one each turn for as long, and so on."""
    calls = Calls()
    calls.come()
    calls.enter(*(str(number) for number in range(100)))
    seen = []
    for _ in range(80):
        await turns(1)
        seen.append(len(calls.begun))
        calls.now += 0.001
    begins = [after - before for before, after in pairwise(seen)]
    assert set(begins) == {0, 1}
    assert 35 <= sum(begins) <= 45
    assert sum(begins[:15]) == 0
    calls.intake.came.clear()
    await asyncio.wait(calls.tasks.values())
    assert calls.begun == [str(number) for number in range(100)]


async def test_the_core_is_asked_for_many_calls_at_once():
    """Of gRPC's own server: all that come in one turn are known in that turn. It is asked again for each."""
    async with bench() as on:
        core: Any = on.server._server
        await until(lambda: len(core._server._asked) == ASKED_FOR)
        for _ in range(3):
            await asyncio.gather(*(send(on.ping, "Ping", pb.Behaviour()) for _ in range(100)))
        await until(lambda: len(core._server._asked) == ASKED_FOR)
        assert (len(core._server.intake.came), len(core._server.intake.waiting)) == (0, 0)


async def test_what_wakes_the_loop_is_found():
    """GRPC reads it by a method of a class that we know by its name: another release may call it otherwise."""
    async with bench():
        assert take_wakeups(asyncio.get_running_loop()) is False  # it is ours already
        selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        readers = [key.data[0]._callback.__qualname__ for key in selector.get_map().values() if key.data[0]]
        assert len([name for name in readers if name.startswith("_reader")]) == 1


async def test_another_loop_is_left_alone():
    """One that has no selector, or none of gRPC's callbacks in it."""
    other: Any = object()
    assert take_wakeups(other) is False
    loop = asyncio.new_event_loop()
    assert take_wakeups(loop) is False
    loop.close()
