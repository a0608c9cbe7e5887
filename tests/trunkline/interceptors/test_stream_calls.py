"""The call objects of rpcs that stream: written, read, left in the middle, dropped and cancelled."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError, not_found
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.servicers import Talker, until
from tests.trunkline.interceptors.shapes import STREAMED_REPLY, begin, failing, finish

STREAMING = ("PingMany", "PingAll", "PingChat")
REQUESTS = {"PingAll": pb.PingAllRequest, "PingChat": pb.PingChatRequest}
SLEEPY = pb.Behaviour(sleep_ms=20_000)


@pytest.fixture
async def talker() -> Talker:
    """The servicer of `on`."""
    return Talker()


@pytest.fixture
async def on(talker: Talker) -> AsyncIterator[Bench]:
    """A bench with the talker."""
    async with bench(ping=talker) as on:
        yield on


async def endless(shape: str) -> AsyncIterator[Any]:
    """One request, and another one that never comes."""
    yield REQUESTS[shape](value="v")
    await asyncio.Event().wait()


def open_call(on: Bench, shape: str) -> Any:
    """A call whose requests, if they are a stream, do not end."""
    if shape == "PingMany":
        return on.ping.PingMany(pb.PingManyRequest(value="v"))
    return getattr(on.ping, shape)(endless(shape))


@pytest.mark.parametrize("shape", STREAMING)
async def test_it_begins_when_it_is_made(on, talker, shape):
    """Nobody need read: the call is at the server."""
    call = open_call(on, shape)
    await until(lambda: talker.begun == 1)
    assert (call.done(), call.cancelled(), call.cancel()) == (False, False, True)
    await until(lambda: talker.let_go == 1)


@pytest.mark.parametrize("shape", STREAMING)
async def test_dropped_unread_it_is_cancelled(on, talker, shape):
    """A call that nobody holds any more ends at the server, though its requests would go on for ever."""
    call = open_call(on, shape)
    await until(lambda: talker.begun == 1)
    del call
    gc.collect()
    await until(lambda: talker.let_go == 1)


@pytest.mark.parametrize("shape", STREAMING)
async def test_dropped_where_it_is_made_it_does_nothing(on, talker, shape):
    """It is cancelled before it begins; the next call is served as ever."""
    open_call(on, shape)
    gc.collect()
    kept = open_call(on, shape)
    await until(lambda: talker.begun == 1)
    kept.cancel()
    await until(lambda: talker.let_go == 1)
    assert talker.begun == 1


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_a_loop_that_is_left_cancels_the_call(on, talker, shape):
    """`break` ends the call at the server, though the call object is still held."""
    call = open_call(on, shape)
    async for _ in call:
        break
    await until(lambda: talker.let_go == 1)
    assert call.cancelled()
    assert await call.code() is grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_an_error_inside_the_loop_cancels_the_call(on, talker, shape):
    """What a reader raises between two answers is its own, and ends the call."""

    async def read() -> None:
        async for _ in open_call(on, shape):
            raise KeyError("mine")

    with pytest.raises(KeyError):
        await read()
    await until(lambda: talker.let_go == 1)


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_reading_by_hand_leaves_the_call_open(on, talker, shape):
    """One answer at a time, with as much time between them as one likes; a loop takes the rest."""
    call = open_call(on, shape)
    assert await call.read() is not grpc.aio.EOF
    rest = aiter(call)
    await anext(rest)
    assert not call.done()
    assert talker.let_go == 0
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await anext(rest)


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_after_the_end_there_is_nothing_to_read(shape):
    """`read()` gives EOF as often as it is asked; a loop gives nothing; the code is OK."""
    async with bench() as on:
        call = begin(on.ping, shape)
        assert await finish(call, shape)
        assert [await call.read(), await call.read()] == [grpc.aio.EOF, grpc.aio.EOF]
        assert [one async for one in call] == []
        assert (await call.code(), call.cancel(), call.cancelled()) == (grpc.StatusCode.OK, False, False)


@pytest.mark.parametrize("shape", STREAMING)
async def test_a_failure_is_told_as_often_as_it_is_asked_for(shape):
    """Reading or awaiting again raises again; code, details and trailers tell of the same."""
    async with bench() as on:
        call = begin(on.ping, shape, failing(grpc.StatusCode.NOT_FOUND))
        for _ in range(2):
            with pytest.raises(ServiceError, match="AS_ASKED"):
                await finish(call, shape)
        assert (await call.code(), await call.details()) == (grpc.StatusCode.NOT_FOUND, "the request asked for this")
        assert "grpc-status-details-bin" in dict(await call.trailing_metadata())
        assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)
        assert on.reached.attempts["k"] == 1


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_a_failure_after_some_answers(on, talker, shape):
    """What came before it is read; then every further read raises it."""
    talker.failure = not_found("GONE", "gone")
    call = open_call(on, shape)
    assert [await call.read() is grpc.aio.EOF, await call.read() is grpc.aio.EOF] == [False, False]
    for _ in range(2):
        with pytest.raises(ServiceError, match="GONE"):
            await call.read()
    with pytest.raises(ServiceError, match="GONE"):
        assert [one async for one in call] == []


@pytest.mark.parametrize("shape", STREAMING)
@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_at_any_turn_it_ends(shape, turns):
    """However far it has come, nobody who asks anything of it waits for ever, and the server lets go."""
    async with bench() as on:
        call = begin(on.ping, shape, SLEEPY)
        for _ in range(turns):
            await asyncio.sleep(0)
        assert call.cancel()
        async with asyncio.timeout(5):
            assert await call.code() is grpc.StatusCode.CANCELLED
            assert list(await call.initial_metadata()) == []
            assert list(await call.trailing_metadata()) == []
            await call.details()
            for _ in range(2):
                with pytest.raises(asyncio.CancelledError):
                    await finish(call, shape)
            with pytest.raises(asyncio.CancelledError):
                await call.wait_for_connection()
        assert (call.done(), call.cancelled()) == (True, True)
        await until(lambda: on.reached.cancelled == on.reached.calls)
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_all_who_await_a_stream_of_requests_get_its_answer():
    """Two tasks and a later one share one call."""
    async with bench() as on:
        call = begin(on.ping, "PingAll")

        async def of() -> Any:
            return await call

        first, second = await asyncio.gather(of(), of())
        assert first.values == second.values == (await call).values == ["v"]
        assert on.reached.calls["PingAll"] == 1


@pytest.mark.parametrize("shape", STREAMING)
async def test_who_asks_for_the_code_and_goes_away_does_not_end_the_call(on, talker, shape):
    """Only who reads or awaits the answers cancels the call with himself."""
    call = open_call(on, shape)
    asking = [asyncio.create_task(ask()) for ask in (call.code, call.details, call.trailing_metadata)]
    await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    await until(lambda: talker.begun == 1)
    assert (call.done(), call.cancelled()) == (False, False)
    reading = asyncio.create_task(_to_its_end(call, shape))
    await asyncio.sleep(0)
    reading.cancel()
    await until(lambda: talker.let_go == 1)
    assert call.cancelled()


async def _to_its_end(call: Any, shape: str) -> None:
    await finish(call, shape)


@pytest.mark.parametrize("shape", STREAMING)
@pytest.mark.parametrize("how", ["answered", "failed", "cancelled", "cancelled at once"])
async def test_callbacks_are_called_once_with_the_call(shape, how):
    """However it ends, and whether they were added before or after."""
    told: list[Any] = []
    async with bench() as on:
        behaviours = {"answered": None, "failed": failing(grpc.StatusCode.NOT_FOUND)}
        call = begin(on.ping, shape, behaviours.get(how, SLEEPY))
        call.add_done_callback(told.append)
        assert told == []
        if how == "cancelled":
            await until(lambda: on.reached.calls[shape] == 1)
        if how.startswith("cancelled"):
            call.cancel()
        await asyncio.gather(_to_its_end(call, shape), return_exceptions=True)
        await until(lambda: told == [call])
        call.add_done_callback(told.append)
        await until(lambda: told == [call, call])
