"""The call object of a unary rpc: where it runs, when it begins, and what it tells, to however many ask."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import headers
from trunkline.call import InboundCall, current_call, serving
from trunkline.client import CLIENT_ORDER
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.client_call import ClientCall
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.testing.ping import PingServicer, Reached, bench

from tests.trunkline.interceptors.servicers import until
from tests.trunkline.interceptors.shapes import failing

PING = pb.PingRequest(value="v")
SLOW = pb.PingRequest(value="v", behaviour=pb.Behaviour(sleep_ms=20_000))
NOT_FOUND = pb.PingRequest(value="v", behaviour=failing(grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND))
PLACE: ContextVar[str] = ContextVar("place", default="nowhere")


class Noted:
    """The outermost link of a chain: notes in which task it runs, and what it finds there."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.raises = raises
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.places: list[str] = []

    @property
    def order(self) -> Any:
        """The client chain with it."""
        return (self._link, *CLIENT_ORDER)

    def _link(self, _: Method, __: Peer) -> Any:
        async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
            self.tasks.append(asyncio.current_task())
            self.places.append(PLACE.get())
            if self.raises is not None:
                raise self.raises
            return await proceed(call)

        return policy


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """What asyncio complains of: errors that nobody has looked at, callbacks that failed."""
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    return seen


async def collected(complaints: list[dict[str, Any]]) -> list[str]:
    """Complaints, once everything that nobody holds is gone."""
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    return [str(one["message"]) for one in complaints]


async def of(call: Any) -> Any:
    """The answer of a call."""
    return await call


async def test_awaited_where_it_is_made_it_runs_in_the_callers_task():
    """No task is made for it."""
    noted = Noted()
    async with bench(client_order=noted.order) as on:
        await on.ping.Ping(PING)
    assert noted.tasks == [asyncio.current_task()]


async def test_a_call_that_nobody_awaits_begins_by_itself():
    """It is in its own task two turns of the loop later, and reaches the server."""
    noted = Noted()
    async with bench(client_order=noted.order) as on:
        call: Any = on.ping.Ping(PING)
        assert noted.tasks == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(noted.tasks) == 1
        assert noted.tasks != [asyncio.current_task()]
        await until(call.done)
        assert on.reached.calls["Ping"] == 1
        assert (await call).value == "v"
    assert len(noted.tasks) == 1


async def test_calls_that_are_made_together_run_together():
    """Two calls made before the first is awaited are both at the server while the first is waited for."""
    async with bench() as on:
        first: Any = on.ping.Ping(SLOW)
        second: Any = on.ping.Ping(SLOW)
        waiting = asyncio.create_task(of(first))
        await until(lambda: on.reached.calls["Ping"] == 2)
        assert (first.cancel(), second.cancel()) == (True, True)
        await asyncio.wait({waiting})


@pytest.mark.parametrize("inline", [True, False])
async def test_all_who_ask_get_the_one_answer(inline):
    """Awaited by several tasks at once and again later, a call is made once."""
    async with bench() as on:
        call: Any = on.ping.Ping(pb.PingRequest(value="v", behaviour=pb.Behaviour(sleep_ms=20)))
        others = [asyncio.create_task(of(call)) for _ in range(3)]
        first = await call if inline else await others[0]
        answers = [*await asyncio.gather(*others), await call]
        assert all(answer is first for answer in answers)
        assert on.reached.calls["Ping"] == 1


@pytest.mark.parametrize("inline", [True, False])
async def test_a_failure_is_told_to_all_and_again(inline, complaints):
    """Every task that awaits a failed call is told, as often as it asks; nobody calls the server twice."""
    async with bench() as on:
        call: Any = on.ping.Ping(NOT_FOUND)
        others = [asyncio.create_task(of(call)) for _ in range(3)]
        if inline:
            with pytest.raises(ServiceError, match="AS_ASKED"):
                await call
        told = await asyncio.gather(*others, call, return_exceptions=True)
        assert [getattr(one, "reason", "") for one in told] == ["AS_ASKED"] * 4
        assert (await call.code(), await call.details()) == (grpc.StatusCode.NOT_FOUND, "the request asked for this")
        assert on.reached.calls["Ping"] == 1
    del call, others, told
    assert await collected(complaints) == []


@pytest.mark.parametrize("request_", [PING, NOT_FOUND], ids=["answered", "failed"])
async def test_a_call_that_nobody_holds_is_made_all_the_same(request_, complaints):
    """Dropped where it was made, it reaches the server, and asyncio has nothing to complain of."""
    async with bench() as on:
        on.ping.Ping(request_)
        gc.collect()
        await until(lambda: on.reached.calls["Ping"] == 1)
    assert await collected(complaints) == []


async def test_an_unknown_failure_is_complained_of_only_where_nobody_is_told(complaints):
    """A mistake in the chain is raised to who waits; without anybody who waits, asyncio tells of it."""
    mistake = ValueError("a mistake")
    noted = Noted(mistake)
    async with bench(client_order=noted.order) as on:
        told: Any = await asyncio.gather(on.ping.Ping(PING), on.ping.Ping(PING), return_exceptions=True)
        assert told == [mistake, mistake]
        assert await collected(complaints) == []
        on.ping.Ping(PING)
        await until(lambda: len(noted.tasks) == 3)
        noted.tasks.clear()
        assert await collected(complaints) == ["Task exception was never retrieved"]


async def test_the_chain_sees_the_context_in_which_the_call_was_made():
    """What changes afterwards, before it begins by itself, changes nothing."""
    noted = Noted()
    async with bench(client_order=noted.order) as on:
        PLACE.set("here")
        call: Any = on.ping.Ping(PING)
        PLACE.set("there")
        await until(call.done)
        assert noted.places == ["here"]


class Asked(PingServicer):
    """Notes what was sent with each call, and answers with initial metadata."""

    def __init__(self) -> None:
        super().__init__(Reached())
        self.seen: list[str] = []

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Answers."""
        await context.send_initial_metadata((("first", "1"),))
        call = current_call()
        assert call is not None
        self.seen.append(call.request_id)
        context.set_trailing_metadata((("last", "2"),))
        return await super().Ping(request, context)


@pytest.mark.parametrize("inline", [True, False])
async def test_it_belongs_to_the_call_in_which_it_was_made(inline):
    """A handler's call has its request id, though it be awaited outside."""
    asked = Asked()
    async with bench(ping=asked) as on:
        with serving(InboundCall("/a", request_id="request-7")):
            call: Any = on.ping.Ping(PING)
        if not inline:
            await until(call.done)
        await call
        await on.ping.Ping(PING)
    assert asked.seen[0] == "request-7"
    assert asked.seen[1] != "request-7"


async def test_what_is_asked_of_a_running_call_waits_for_its_end():
    """Code, details and metadata come with the answer; who stops waiting for them does not stop the call."""
    async with bench(ping=Asked()) as on:
        call: Any = on.ping.Ping(pb.PingRequest(value="v", behaviour=pb.Behaviour(sleep_ms=50)))
        code = asyncio.create_task(call.code())
        impatient = asyncio.create_task(call.trailing_metadata())
        await until(lambda: call.time_remaining() is not None)
        impatient.cancel()
        await asyncio.wait({impatient})
        assert not call.done()
        assert 0 < call.time_remaining() <= 5
        assert await code is grpc.StatusCode.OK
        assert (await call.details(), call.cancelled()) == ("", False)
        assert dict(await call.initial_metadata()) == {"first": "1"}
        assert dict(await call.trailing_metadata()) == {"last": "2"}


async def test_a_call_that_was_never_sent_tells_why():
    """Without time to make it there is a code and a text, and metadata that are empty."""
    async with bench() as on:
        call: Any = on.ping.Ping(PING, timeout=0)
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "too little time" in await call.details()
        assert (list(await call.initial_metadata()), list(await call.trailing_metadata())) == ([], [])
        assert call.time_remaining() is None
        with pytest.raises(ServiceError, match="DEADLINE_EXPIRED"):
            await call


async def test_waiting_for_the_connection():
    """It returns when the call is answered, and raises what the call fails with."""
    async with bench() as on:
        call: Any = on.ping.Ping(PING)
        await call.wait_for_connection()
        assert call.done()
        with pytest.raises(ServiceError, match="AS_ASKED"):
            await on.ping.Ping(NOT_FOUND).wait_for_connection()


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("request_", [PING, NOT_FOUND], ids=["answered", "failed"])
async def test_callbacks_are_called_once_with_the_call(inline, request_):
    """Those that were added before the end at the end, those after it at once."""
    told: list[Any] = []
    async with bench() as on:
        call: Any = on.ping.Ping(request_)
        call.add_done_callback(told.append)
        assert told == []
        if inline:
            with suppress(ServiceError):
                await call
        await until(call.done)
        assert told == [call]
        call.add_done_callback(told.append)
        assert told == [call, call]


async def test_a_callback_that_fails_hurts_nobody(complaints):
    """The answer is given and the other callbacks are called; the loop is told of the failure."""

    def broken(_: Any) -> None:
        raise ValueError("broken")

    told: list[Any] = []
    async with bench() as on:
        call: Any = on.ping.Ping(PING)
        call.add_done_callback(broken)
        call.add_done_callback(told.append)
        assert (await call).value == "v"
        assert told == [call]
    assert await collected(complaints) == ["a callback of a call failed"]


@pytest.mark.parametrize("give", [tuple, list, lambda pairs: grpc.aio.Metadata(*pairs)], ids=["tuple", "list", "grpc"])
async def test_metadata_may_be_given_in_any_form(give):
    """Pairs in a tuple, in a list, or in grpc's own class."""
    seen: list[dict[str, Any]] = []

    class Listening(PingServicer):
        async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
            seen.append(dict(context.invocation_metadata()))
            return pb.PingResponse()

    async with bench(ping=Listening(Reached())) as on:
        await on.ping.Ping(PING, metadata=give([(headers.REQUEST_ID, "r"), ("own", "k")]))
    assert seen[0]["own"] == "k"
