"""A handler that holds the event loop up is seen from outside, and named in the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError

from tests.faults.calls.calling import SOON_S, awaited, calling
from tests.faults.lifecycle.program import BLOCK
from tests.faults.lifecycle.running import Running
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-loop")
BLOCKED_S = 3.0
LAG = "trunkline_event_loop_lag_seconds"


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
def running(request: pytest.FixtureRequest, tmp_path) -> Iterator[Running]:
    """A server, alone or with workers."""
    with Running(tmp_path, TRUNKLINE_WORKERS=request.param) as found:
        yield found


async def test_a_handler_blocks_the_loop(running: Running, key: str):
    """B13: a handler sleeps for 3 s without awaiting: the metric tells of it while it lasts and afterwards, one line
    names the place and nothing else, a caller beside it is told at its own deadline, and then all is well.
    """
    async with calling(running.target, retry_attempts=1) as caller:
        await caller.ping(f"{key}-before")
        blocking = pb.PingRequest(value=f"{BLOCK}{BLOCKED_S}", behaviour=pb.Behaviour(attempt_key=key))
        blocked = asyncio.create_task(awaited(caller.pings.Ping(blocking, timeout=20.0)))
        told = asyncio.create_task(asyncio.to_thread(_grows, running))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(ServiceError, match="DEADLINE"):
            await caller.ping(f"{key}-beside", timeout=0.5)
        assert time.monotonic() - began < 0.5 + SOON_S
        assert await told > 1.0
        assert not blocked.done()
        await blocked
        await until(lambda: running.counted(LAG) > 2.0, "the metric tells of it afterwards", 5.0)
        (line,) = running.said("the event loop stands still")
        assert line["stack"][-1].endswith(" Ping")
        assert "program.py" in line["stack"][-1]
        assert BLOCK not in str(line)
        await caller.is_well()


def _grows(running: Running) -> float:
    """The lag as it is told while the loop stands still."""
    end = time.monotonic() + BLOCKED_S - 0.5
    while (lag := running.counted(LAG)) < 1.0 and time.monotonic() < end:
        time.sleep(0.1)
    return lag
