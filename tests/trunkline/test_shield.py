"""Work that goes on when the caller of the call it belongs to has gone away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import grpc
import pytest
import structlog
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import shield as shield_module
from trunkline.call import InboundCall, acting_for, current_call
from trunkline.errors import ServiceError, unavailable
from trunkline.shield import shield, shielded_work_ends
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached, bench

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.interceptors.shapes import failure, send
from tests.trunkline.interceptors.test_idempotency import Till, add

LONG_S = 30.0


class Shielding(PingServicer):
    """A handler whose work is shielded; notes what becomes of both."""

    def __init__(self, work: Callable[[], Awaitable[Any]] | None = None, timeout_s: float = LONG_S) -> None:
        super().__init__(Reached())
        self.work = work
        self.timeout_s = timeout_s
        self.go_on = asyncio.Event()
        self.seen: list[str] = []
        self.outside: InboundCall | None = None
        self.inside: InboundCall | None = None

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Answers what its work gives."""
        self.outside = current_call()
        try:
            return pb.PingResponse(value=await shield(self._work(), timeout_s=self.timeout_s))
        except asyncio.CancelledError:
            self.seen.append("handler cancelled")
            raise
        finally:
            assert current_call() is self.outside

    async def _work(self) -> str:
        self.inside = current_call()
        self.seen.append("begun")
        try:
            await self.go_on.wait()
            if self.work is not None:
                await self.work()
        except asyncio.CancelledError:
            self.seen.append("work cancelled")
            raise
        self.seen.append("done")
        return "worked"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """What is logged of shielded work."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.BoundLogger)
    monkeypatch.setattr(shield_module, "_log", logger)
    return capture.entries


async def test_its_result_is_given():
    """In the usual case it is as if nothing stood round the work."""
    shielding = Shielding()
    shielding.go_on.set()
    async with bench(ping=shielding) as on:
        assert (await on.ping.Ping(pb.PingRequest())).value == "worked"
    assert shielding.seen == ["begun", "done"]


async def test_it_outlives_its_caller(log):
    """The caller cancels and the handler ends; the work goes on to its end, and nothing is logged."""
    shielding = Shielding()
    async with bench(ping=shielding) as on:
        caller = asyncio.create_task(send(on.ping, "Ping"))
        await until(lambda: shielding.seen == ["begun"])
        caller.cancel()
        await until(lambda: shielding.seen == ["begun", "handler cancelled"])
        shielding.go_on.set()
        await until(lambda: shielding.seen[-1] == "done")
        await asyncio.wait({caller})
    assert log == []


async def test_it_outlives_the_calls_deadline():
    """The caller hears that its time is over; the work has a deadline of its own."""
    shielding = Shielding()
    async with bench(ping=shielding) as on:
        assert (await failure(on.ping, "Ping", timeout=0.1)).code is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: "handler cancelled" in shielding.seen)
        shielding.go_on.set()
        await until(lambda: shielding.seen[-1] == "done")
    assert LONG_S - 1 < deadline(shielding.inside) - deadline(shielding.outside) <= LONG_S


def deadline(call: InboundCall | None) -> float:
    """Deadline of a call that has one."""
    assert call is not None
    assert call.deadline is not None
    return call.deadline


async def test_inside_it_is_the_same_call():
    """But for the deadline: method, request id, tenant, caller and key are those of the call."""
    till = Till()
    inside: list[InboundCall | None] = []

    async def note() -> None:
        inside.append(current_call())

    async def act(_: Any) -> None:
        await shield(note(), timeout_s=LONG_S)

    till.effects.inside = act
    async with till.open() as on:
        await add(on, 5)
    (call,) = till.effects.calls
    (found,) = inside
    assert found is not None
    for name in ("method", "request_id", "sender", "caller", "tenant_id", "idempotency", "clock", "trace"):
        assert getattr(found, name) == getattr(call, name), name
    assert (found.tenant_id, found.idempotency is None) == ("acme", False)


async def test_its_own_calls_are_made_though_the_caller_has_left():
    """They have the time of the work, not what was left of the call; and belong to the same request."""
    async with bench() as last:
        shielding = Shielding(lambda: send(last.ping, "Ping"))
        async with bench(ping=shielding) as edge:
            await failure(edge.ping, "Ping", timeout=0.1)
            await until(lambda: "handler cancelled" in shielding.seen)
            shielding.go_on.set()
            await until(lambda: shielding.seen[-1] == "done")
        assert last.reached.calls["Ping"] == 1
        assert 4000 < last.reached.remaining_ms[0] <= 5010


async def test_after_its_time_it_is_cancelled_all_the_same():
    """Who still waits is told TimeoutError: to the caller that is an unknown failure."""
    shielding = Shielding(timeout_s=0.05)
    async with bench(ping=shielding) as on:
        assert (await failure(on.ping, "Ping")).reason == "INTERNAL_ERROR"
    assert shielding.seen == ["begun", "work cancelled"]


@pytest.mark.parametrize("fails", [ValueError("broken"), unavailable("LATER", "not now")], ids=str)
async def test_a_failure_that_is_left_behind_is_logged(log, fails):
    """Nobody waits for it any more: the log tells of it, once."""

    async def fail() -> None:
        raise fails

    shielding = Shielding(fail)
    async with bench(ping=shielding) as on:
        caller = asyncio.create_task(send(on.ping, "Ping"))
        await until(lambda: shielding.seen == ["begun"])
        caller.cancel()
        await until(lambda: shielding.seen[-1] == "handler cancelled")
        assert log == []
        shielding.go_on.set()
        await until(lambda: len(log) == 1)
        await asyncio.wait({caller})
    assert (log[0]["event"], log[0]["exc_info"]) == ("shielded work failed after its caller had left", fails)


async def test_a_failure_that_somebody_waits_for_is_raised(log):
    """It is the handler's failure, and not logged here."""

    async def fail() -> None:
        raise unavailable("LATER", "not now")

    shielding = Shielding(fail)
    shielding.go_on.set()
    async with bench(ping=shielding) as on:
        on.channel.peer.retry = type(on.channel.peer.retry)(max_attempts=1)
        assert (await failure(on.ping, "Ping")).reason == "LATER"
    assert log == []


async def test_after_an_abort_nothing_is_shielded():
    """A handler that has ended its call and goes on begins no work; its caller gets the abort."""
    begun: list[str] = []

    async def work() -> None:
        begun.append("work")

    class Aborting(PingServicer):
        async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
            try:
                await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
            except ServiceError:
                await shield(work(), timeout_s=LONG_S)
            return pb.PingResponse()

    async with bench(ping=Aborting(Reached())) as on:
        error = await failure(on.ping, "Ping")
    assert (error.code, error.message, begun) == (grpc.StatusCode.NOT_FOUND, "gone", [])


async def test_a_draining_server_waits_for_it():
    """What the service holds is closed after the work has ended, though its caller has left long before."""
    shielding = Shielding()

    async def close() -> None:
        shielding.seen.append("closed")

    async with bench(ping=shielding, service={"close": [close]}) as on:
        caller = asyncio.create_task(send(on.ping, "Ping"))
        await until(lambda: shielding.seen == ["begun"])
        caller.cancel()
        await until(lambda: shielding.seen[-1] == "handler cancelled")
        draining = asyncio.create_task(on.server.drain())
        await until(lambda: on.channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY)
        assert not draining.done()
        shielding.go_on.set()
        await draining
        await asyncio.wait({caller})
    assert shielding.seen[-2:] == ["done", "closed"]


async def test_a_draining_server_does_not_wait_for_ever():
    """Work that outlives the grace is cancelled, also what it has shielded in turn; then everything is closed."""
    settings = BENCH_SETTINGS.model_copy(update={"drain_s": 0.05})
    inner = Shielding()
    shielding = Shielding(lambda: shield(inner._work(), timeout_s=LONG_S))
    shielding.go_on.set()

    async def close() -> None:
        shielding.seen.append("closed")

    async with bench(ping=shielding, service={"close": [close]}, settings=settings) as on:
        caller = asyncio.create_task(send(on.ping, "Ping"))
        await until(lambda: inner.seen == ["begun"])
        await on.server.drain()
        await asyncio.gather(caller, return_exceptions=True)
    assert inner.seen == ["begun", "work cancelled"]
    assert shielding.seen[-2:] == ["work cancelled", "closed"]


async def test_all_of_it_is_waited_for():
    """True where it ended by itself, one piece of work after another; False where some had to be cancelled."""
    assert await shielded_work_ends(0.0)
    first, second = Shielding(), Shielding()
    waiting = [asyncio.create_task(shield(one._work(), timeout_s=LONG_S)) for one in (first, second)]
    await until(lambda: [first.seen, second.seen] == [["begun"]] * 2)
    ending = asyncio.create_task(shielded_work_ends(LONG_S))
    first.go_on.set()
    await waiting[0]
    assert not ending.done()
    second.go_on.set()
    assert await ending
    stuck = asyncio.create_task(shield(Shielding()._work(), timeout_s=LONG_S))
    await asyncio.sleep(0)
    assert not await shielded_work_ends(0.0)
    await asyncio.wait({stuck})
    assert stuck.cancelled()


async def test_what_begins_while_it_is_cancelled_is_cancelled_too():
    """Work that shields something in its turn when it is cancelled leaves nothing running behind the server's back."""
    undoing, waiting = Shielding(), asyncio.Event()
    undone: list[asyncio.Task[str]] = []

    async def work() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            undone.append(asyncio.create_task(shield(undoing._work(), timeout_s=LONG_S)))
            await until(lambda: undoing.seen == ["begun"])

    task = asyncio.create_task(shield(work(), timeout_s=LONG_S))
    await waiting.wait()
    assert not await shielded_work_ends(0.0)
    assert undoing.seen == ["begun", "work cancelled"]
    await asyncio.wait({task, *undone})


async def test_outside_a_call_and_in_a_job():
    """There is no call to go on with, or a job's; either way the work is done."""
    alone, job = Shielding(), Shielding()
    for one in (alone, job):
        one.go_on.set()
    assert await shield(alone._work(), timeout_s=LONG_S) == "worked"
    with acting_for("acme", request_id="r"):
        assert await shield(job._work(), timeout_s=LONG_S) == "worked"
    assert alone.inside is None
    assert job.inside is not None
    assert (job.inside.tenant_id, job.inside.request_id) == ("acme", "r")
    assert job.inside.deadline is not None
