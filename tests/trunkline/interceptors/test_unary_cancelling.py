"""Cancelling a unary call: before, while and after it runs, by its own `cancel()` or by who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.interceptors.shapes import failing

PING = pb.PingRequest(value="v")
SLOW = pb.PingRequest(value="v", behaviour=pb.Behaviour(sleep_ms=20_000))


@pytest.fixture
async def on() -> AsyncIterator[Bench]:
    """A bench whose calls are at an end, whatever became of them."""
    async with bench() as on:
        yield on


class Waiter:
    """A task that makes a call and awaits it at once, and goes on afterwards."""

    def __init__(self, on: Bench, request: pb.PingRequest = SLOW) -> None:
        self._on = on
        self._request = request
        self.call: Any = None
        self.outcome: Any = None
        self.cancelling = -1
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        self.call = self._on.ping.Ping(self._request)
        try:
            self.outcome = await self.call
        except (asyncio.CancelledError, ServiceError) as error:
            self.outcome = error
        task = asyncio.current_task()
        assert task is not None
        self.cancelling = task.cancelling()
        await self._on.ping.Ping(PING)

    async def ended(self) -> str:
        """What it was told, once it has gone on to its end."""
        await self.task
        return type(self.outcome).__name__


async def of(call: Any) -> Any:
    """The answer of a call."""
    return await call


async def reached(on: Bench, calls: int = 1) -> None:
    """Returns when so many calls are at the server."""
    await until(lambda: on.reached.calls["Ping"] == calls)


async def left(on: Bench, calls: int = 1) -> None:
    """Returns when so many handlers were cancelled."""
    await until(lambda: on.reached.cancelled["Ping"] == calls)


async def test_cancelled_before_it_begins_it_is_never_made(on):
    """Nothing is sent; whoever awaits it hears of it, and so does who asks for its code."""
    told: list[Any] = []
    call: Any = on.ping.Ping(PING)
    call.add_done_callback(told.append)
    assert (call.cancel(), call.cancel()) == (True, False)
    assert (call.done(), call.cancelled(), told) == (True, True, [call])
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert list(await call.trailing_metadata()) == []
    assert not on.reached.calls


@pytest.mark.parametrize("turns", range(6))
async def test_cancelled_at_any_turn_it_ends(on, turns):
    """However far its own task has come, even where it has not made its first step: all who wait are told."""
    told: list[Any] = []
    call: Any = on.ping.Ping(SLOW)
    call.add_done_callback(told.append)
    for _ in range(turns):
        await asyncio.sleep(0)
    assert call.cancel()
    waiting = [asyncio.create_task(of(call)) for _ in range(2)]
    async with asyncio.timeout(3):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert await call.code() is grpc.StatusCode.CANCELLED
    assert [type(one) for one in outcomes] == [asyncio.CancelledError] * 2
    assert (call.done(), call.cancelled(), told) == (True, True, [call])
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_the_task_that_awaits_a_cancelled_call_is_not_cancelled(on, times):
    """It hears CancelledError, its count of cancellations is as before, and it goes on; the server stops."""
    waiter = Waiter(on)
    await reached(on)
    assert [waiter.call.cancel() for _ in range(times)] == [True] + [False] * (times - 1)
    assert await waiter.ended() == "CancelledError"
    assert (waiter.cancelling, waiter.call.cancelled(), waiter.call.cancel()) == (0, True, False)
    await left(on)


async def test_who_is_cancelled_himself_stays_cancelled(on):
    """Where call and task are both cancelled, in either order, the task's own cancellation is not taken back."""
    first, second = Waiter(on), Waiter(on)
    await reached(on, 2)
    first.call.cancel()
    first.task.cancel()
    second.task.cancel()
    second.call.cancel()
    assert [await first.ended(), await second.ended()] == ["CancelledError"] * 2
    assert [first.cancelling, second.cancelling] == [1, 1]
    await left(on, 2)


async def test_cancelling_the_only_task_that_waits_cancels_the_call(on):
    """The handler is cancelled, and the call tells that it was."""
    waiter = Waiter(on)
    await reached(on)
    waiter.task.cancel()
    assert await waiter.ended() == "CancelledError"
    assert (waiter.call.cancelled(), await waiter.call.code()) == (True, grpc.StatusCode.CANCELLED)
    await left(on)


@pytest.mark.parametrize("who", ["first", "second"])
async def test_cancelling_one_of_two_that_wait_cancels_the_call_for_both(on, who):
    """As with grpc.aio; but the other task is only told, and not cancelled itself."""
    first = Waiter(on)
    await reached(on)
    second = asyncio.create_task(of(first.call))
    await asyncio.sleep(0)
    (first.task if who == "first" else second).cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await first.ended() == "CancelledError"
    assert (first.cancelling, second.cancelling()) == ((1, 0) if who == "first" else (0, 1))
    await left(on)


@pytest.mark.parametrize("request_", [PING, pb.PingRequest(behaviour=failing(grpc.StatusCode.NOT_FOUND))], ids=str)
async def test_cancelled_after_its_end_it_stays_what_it_was(on, request_):
    """There is nothing to cancel: the answer or the failure is told as before."""
    call: Any = on.ping.Ping(request_)
    first: Any = await asyncio.gather(call, return_exceptions=True)
    assert (call.cancel(), call.cancelled()) == (False, False)
    again: Any = await asyncio.gather(call, return_exceptions=True)
    assert again[0] is first[0]


async def test_a_timeout_round_it(on):
    """The call is cancelled with it; the task hears TimeoutError, and is not cancelled."""
    call: Any = on.ping.Ping(SLOW)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await call
    task = asyncio.current_task()
    assert task is not None
    assert (call.cancelled(), task.cancelling()) == (True, 0)
    await left(on)


async def test_a_cancelled_call_inside_a_timeout_is_no_timeout(on):
    """`cancel()` is told as such, though a timeout that has not run out stands round it."""
    told: list[str] = []

    async def patient() -> None:
        async with asyncio.timeout(30):
            calls.append(on.ping.Ping(SLOW))
            try:
                await calls[0]
            except asyncio.CancelledError:
                told.append("cancelled")
        async with asyncio.timeout(30):
            await on.ping.Ping(PING)
            told.append("went on")

    calls: list[Any] = []
    task = asyncio.create_task(patient())
    await reached(on)
    calls[0].cancel()
    await task
    assert told == ["cancelled", "went on"]


async def test_wait_for(on):
    """It cancels the call when its time is over; a shield round the call keeps it."""
    kept: Any = on.ping.Ping(pb.PingRequest(value="v", behaviour=pb.Behaviour(sleep_ms=300)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(kept), 0.05)
    lost: Any = on.ping.Ping(SLOW)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lost, 0.1)
    assert (lost.cancelled(), kept.cancelled()) == (True, False)
    assert (await kept).value == "v"
    await left(on)


async def test_gather(on):
    """A failure is told at once and the others go on; a gather that is cancelled cancels its calls."""
    slow: Any = on.ping.Ping(pb.PingRequest(value="slow", behaviour=pb.Behaviour(sleep_ms=100)))
    with pytest.raises(ServiceError, match="AS_ASKED"):
        await asyncio.gather(slow, on.ping.Ping(pb.PingRequest(behaviour=failing(grpc.StatusCode.NOT_FOUND))))
    assert (await slow).value == "slow"
    calls: list[Any] = [on.ping.Ping(SLOW) for _ in range(3)]
    gathered = asyncio.gather(*calls)
    await reached(on, 5)
    gathered.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathered
    await left(on, 3)
    assert all(call.cancelled() for call in calls)


async def test_a_task_group(on):
    """The first failure cancels the other calls; one that is cancelled by itself fails nobody."""
    calls: list[Any] = [on.ping.Ping(SLOW) for _ in range(3)]

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(of(call))
            await reached(on, 3)
            group.create_task(of(on.ping.Ping(pb.PingRequest(behaviour=failing(grpc.StatusCode.NOT_FOUND)))))

    with pytest.raises(ExceptionGroup) as failed:
        await together()
    assert [getattr(one, "reason", "") for one in failed.value.exceptions] == ["AS_ASKED"]
    await left(on, 3)
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()  # not always 0: Python 3.11's group forgets to take back its own
    async with asyncio.timeout(3), asyncio.TaskGroup() as group:
        alone: Any = on.ping.Ping(SLOW)
        group.create_task(of(alone))
        await reached(on, 5)
        alone.cancel()
    assert task.cancelling() == before


async def test_a_coroutine_that_is_closed_leaves_the_others_a_cancelled_call(on):
    """Where the awaiting coroutine is thrown away, others that wait hear CancelledError, and wait no longer."""
    coroutine = of(call := on.ping.Ping(SLOW))
    coroutine.send(None)
    other = asyncio.create_task(of(call))
    await reached(on)
    coroutine.close()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(3):
            await other
    assert call.cancelled()
