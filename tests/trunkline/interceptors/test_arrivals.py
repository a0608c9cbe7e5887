"""Requests that are waited for."""

from __future__ import annotations

import asyncio

import pytest
from trunkline.errors import ServiceError
from trunkline.interceptors.arrivals import SHED_RETRY_S, Arrivals


class Wire:
    """A call whose message comes when the test says so."""

    def __init__(self) -> None:
        self.message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        """The message."""
        return await self.message


async def _begun(arrivals: Arrivals, wire: Wire) -> asyncio.Task[bytes]:
    waiting = asyncio.create_task(arrivals.read(wire))
    await asyncio.sleep(0)
    return waiting


async def test_a_request_that_comes():
    """A request that comes in time is given, and is waited for no longer."""
    arrivals, wire = Arrivals(limit_s=60, most=10), Wire()
    waiting = await _begun(arrivals, wire)
    assert len(arrivals) == 1
    wire.message.set_result(b"here")
    assert await waiting == b"here"
    assert len(arrivals) == 0


async def test_a_request_that_does_not_come():
    """What has not come when its time is over fails with a reason, each at its own time; it counts until it is gone."""
    arrivals = Arrivals(limit_s=0.05, most=10)
    begun = asyncio.get_running_loop().time()
    first = await _begun(arrivals, Wire())
    await asyncio.sleep(0.02)
    second = await _begun(arrivals, Wire())
    for waiting, earliest in ((first, 0.05), (second, 0.07)):
        with pytest.raises(ServiceError) as failure:
            await waiting
        assert (failure.value.code.name, failure.value.reason) == ("DEADLINE_EXCEEDED", "REQUEST_INCOMPLETE")
        assert asyncio.get_running_loop().time() - begun >= earliest
    await asyncio.sleep(0)
    assert len(arrivals) == 0


async def test_too_many_are_waited_for():
    """Beyond the most that are waited for, the one that waits longest is shed; the others stay."""
    arrivals, wires = Arrivals(limit_s=60, most=2), [Wire() for _ in range(3)]
    first, second, third = [await _begun(arrivals, wire) for wire in wires]
    with pytest.raises(ServiceError) as failure:
        await first
    low, high = SHED_RETRY_S
    assert failure.value.reason == "CONCURRENCY_LIMIT"
    assert low <= (failure.value.retry_after_s or 0.0) <= high
    for wire, waiting in ((wires[1], second), (wires[2], third)):
        wire.message.set_result(b"here")
        assert await waiting == b"here"


async def test_a_caller_that_leaves():
    """A cancellation from outside stays one, even where the time was over as well."""
    arrivals = Arrivals(limit_s=0.01, most=10)
    waiting = await _begun(arrivals, Wire())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    both = await _begun(arrivals, Wire())
    both.cancel()
    arrivals._end(both, ServiceError(None, "", ""))  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await both
    await asyncio.sleep(0)
    assert len(arrivals) == 0
