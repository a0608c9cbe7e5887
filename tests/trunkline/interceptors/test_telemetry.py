"""What real calls leave in counts, traces and headers, in every shape and however they end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.call import current_call
from trunkline.telemetry.metrics import METRICS
from trunkline.telemetry.trace_export import Export
from trunkline.telemetry.traces import TRACES
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import PingServicer, Reached, bench

from tests.trunkline.interceptors.lanes import opened
from tests.trunkline.interceptors.servicers import Policies, until, with_one_attempt, without_waiting
from tests.trunkline.interceptors.shapes import SHAPES, STREAMED_REPLY, begin, failing, failure, finish, send
from tests.trunkline.interceptors.test_idempotency import Till, add
from tests.trunkline.telemetry.tracing import ids

UNAVAILABLE, NOT_FOUND, INTERNAL = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL


class Traced:
    """What is recorded while calls are traced."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def spans(self) -> list[ReadableSpan]:
        """Those that have ended, by their starts."""
        TRACES.flush()
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        """Those of a kind."""
        return [span for span in self.spans() if span.kind is kind]


@contextmanager
def tracing(ratio: float) -> Iterator[Traced]:
    """Calls are traced for the length of a block: this share of them."""
    traced = Traced()
    TRACES.use(Export("test", ratio, traced.exporter), ratio)
    try:
        yield traced
    finally:
        TRACES.close()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """What a span tells."""
    return dict(span.attributes or {})


def code(span: ReadableSpan) -> Any:
    """How it ended."""
    return attributes(span)["rpc.response.status_code"]


class Counts:
    """What is counted of a method of the bench, since it was made."""

    def __init__(self, shape: str) -> None:
        path = f"/trunk.testing.v1.PingService/{shape}"
        client, self.server = METRICS.client("ping", path), METRICS.server(path)
        self._counted = (client.calls, client.attempts, self.server.calls)
        self._before = [_by_code(one) for one in self._counted]

    def new(self) -> list[dict[str, int]]:
        """By code: calls, attempts, served calls."""
        return [dict(_by_code(one) - before) for one, before in zip(self._counted, self._before, strict=True)]


def _by_code(durations: Any) -> Counter[str]:
    return Counter({code: sum(histogram.read()[0]) for code, histogram in durations.copy().items()})


@pytest.mark.parametrize("shape", SHAPES)
async def test_how_a_call_ends_is_counted_on_both_sides(shape):
    """Once as a call, once as an attempt, once as a served call, whether it went well or failed or came too late."""
    async with bench() as on:
        with_one_attempt(on)
        counts = Counts(shape)
        await send(on.ping, shape)
        await failure(on.ping, shape, failing(NOT_FOUND, key="a"))
        await failure(on.ping, shape, failing(UNAVAILABLE, key="b"))
        await failure(on.ping, shape, pb.Behaviour(sleep_ms=20_000), timeout=0.1)
        expected = {"OK": 1, "NOT_FOUND": 1, "UNAVAILABLE": 1, "DEADLINE_EXCEEDED": 1}
        await until(lambda: counts.new() == [expected] * 3)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_call_that_is_cancelled_is_counted_as_such(shape):
    """On both sides; nothing is left that seems to run."""
    async with bench() as on:
        counts = Counts(shape)
        call = begin(on.ping, shape, pb.Behaviour(sleep_ms=20_000))
        waiting = asyncio.create_task(finish(call, shape))
        await until(lambda: on.reached.calls[shape] == 1)
        call.cancel()
        await asyncio.wait({waiting})
        await until(lambda: counts.new() == [{"CANCELLED": 1}] * 3)
        assert counts.server.running == 0


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_a_stream_that_nobody_reads_on_is_counted_as_left(shape):
    """The client has cancelled it, though every message that came went well."""
    async with bench() as on:
        counts = Counts(shape)
        call = begin(on.ping, shape)
        async for _ in call:
            break
        await until(lambda: counts.new()[:2] == [{"CANCELLED": 1}] * 2)


async def test_what_is_not_sent_is_no_attempt():
    """An open breaker refuses a call: it is counted as one that failed, and the server does not hear of it."""
    async with bench() as on:
        with_one_attempt(on)
        for number in range(5):
            await failure(on.ping, "Ping", failing(INTERNAL, key=str(number)))
        counts = Counts("Ping")
        assert (await failure(on.ping, "Ping")).reason == "BREAKER_OPEN"
        assert counts.new() == [{"UNAVAILABLE": 1}, {}, {}]


async def test_repeats_are_attempts_of_one_call():
    """Three attempts, two of which failed, of one call that went well."""
    async with bench() as on:
        without_waiting(on)
        counts = Counts("Ping")
        await send(on.ping, "Ping", failing(UNAVAILABLE, UNAVAILABLE))
        assert counts.new() == [{"OK": 1}, {"OK": 1, "UNAVAILABLE": 2}, {"OK": 1, "UNAVAILABLE": 2}]


class Hearing(PingServicer):
    """Notes the headers it is sent and its request id, and may pass the call on."""

    def __init__(self, following: Any = None) -> None:
        super().__init__(Reached())
        self.following = following
        self.headers: list[dict[str, Any]] = []
        self.request_ids: list[str] = []

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Answers, after the next one if there is one."""
        call = current_call()
        assert call is not None
        self.headers.append(dict(context.invocation_metadata()))
        self.request_ids.append(call.request_id)
        if self.following is not None:
            await self.following.Ping(request)
        return pb.PingResponse()


async def over_three_hops(**options: Any) -> list[Hearing]:
    """One call through three servers."""
    last = Hearing()
    async with bench(ping=last) as third:
        middle = Hearing(third.ping)
        async with bench(ping=middle) as second:
            first = Hearing(second.ping)
            async with bench(ping=first) as edge:
                await edge.ping.Ping(pb.PingRequest(), **options)
    return [first, middle, last]


async def test_who_does_not_trace_sends_a_request_id():
    """One id of 32 hex digits on every hop, and no `traceparent`."""
    hops = await over_three_hops()
    (request_id,) = {one for hop in hops for one in hop.request_ids}
    assert len(request_id) == 32
    assert [hop.headers[0][headers.REQUEST_ID] for hop in hops] == [request_id] * 3
    assert not any(headers.TRACEPARENT in hop.headers[0] for hop in hops)


async def test_a_call_that_is_not_sampled_sends_one_header():
    """A `traceparent` that says so, whose trace is the request id: all hops have it from there, and none decides."""
    with tracing(0.0) as traced:
        hops = await over_three_hops()
    (request_id,) = {one for hop in hops for one in hop.request_ids}
    (sent,) = {hop.headers[0][headers.TRACEPARENT] for hop in hops}
    assert sent == f"00-{request_id}-{request_id[16:]}-00"
    assert not any(headers.REQUEST_ID in hop.headers[0] for hop in hops)
    assert traced.spans() == []


async def test_a_sampled_call_is_one_trace_over_all_hops():
    """Each hop's call under the served call that makes it, each attempt under its call, each served one under that."""
    with tracing(1.0) as traced:
        hops = await over_three_hops()
        spans = [ids(span) for span in traced.spans()]
    (request_id,) = {one for hop in hops for one in hop.request_ids}
    assert {trace for trace, _, _ in spans} == {request_id}
    assert [parent for _, _, parent in spans] == ["", *[span for _, span, _ in spans[:-1]]]
    assert [hop.headers[0][headers.TRACEPARENT][-2:] for hop in hops] == ["01"] * 3


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_request_id_that_comes_from_outside_goes_on(ratio):
    """Whatever it looks like, and whether or not the call is traced."""
    with tracing(ratio):
        hops = await over_three_hops(metadata=((headers.REQUEST_ID, "till-7"),))
    assert {one for hop in hops for one in hop.request_ids} == {"till-7"}


async def test_attempts_stand_side_by_side_under_their_call():
    """A retry is a sibling of what it repeats; each server stands under the attempt that reached it."""
    with tracing(1.0) as traced:
        async with bench() as on:
            without_waiting(on)
            await send(on.ping, "Ping", failing(UNAVAILABLE, UNAVAILABLE))
        call, *attempts = traced.of(SpanKind.CLIENT)
        served = traced.of(SpanKind.SERVER)
    assert {ids(span)[2] for span in attempts} == {ids(call)[1]}
    assert [ids(span)[2] for span in served] == [ids(span)[1] for span in attempts]
    assert [code(span) for span in (call, *attempts)] == ["OK", "UNAVAILABLE", "UNAVAILABLE", "OK"]


async def test_hedges_stand_side_by_side_too(clock: FakeClock):
    """The one that lost is told as cancelled."""
    with tracing(1.0) as traced:
        async with opened(clock) as lane:
            call = lane.begin()
            await lane.hedge(2)
            lane.answer(2)
            await call
            await lane.cancelled(1)
        whole, *attempts = traced.of(SpanKind.CLIENT)
        attempts.sort(key=lambda span: attributes(span)["trunk.attempt"])  # the one that won may end first
    assert {ids(span)[2] for span in attempts} == {ids(whole)[1]}
    assert [code(span) for span in (whole, *attempts)] == ["OK", "CANCELLED", "OK"]
    assert [attributes(span)["trunk.attempt"] for span in attempts] == [1, 2]


async def test_an_answer_from_memory_is_a_call_without_an_attempt(clock: FakeClock):
    """And one that is stale says so."""
    policies = Policies()
    with tracing(1.0) as traced:
        async with bench(servicers=[policies], clock=clock) as on:
            with_one_attempt(on)
            stub: Any = pb_grpc.PolicyServiceStub(on.channel)
            await stub.Cached(pb.CachedRequest(value="a"))
            before = len(traced.spans())
            await stub.Cached(pb.CachedRequest(value="a"))
            (hit,) = traced.spans()[before:]
            clock.advance(6.0)
            await on.server.drain()
            await stub.Cached(pb.CachedRequest(value="a"))
            stale, attempt = traced.spans()[before + 1 :]
    assert (code(hit), "trunk.stale" in attributes(hit)) == ("OK", False)
    assert (code(stale), attributes(stale)["trunk.stale"], code(attempt)) == ("OK", True, "UNAVAILABLE")


async def test_a_served_call_tells_its_tenant_and_that_it_was_replayed():
    """On the server's span; the client's knows of neither."""
    till = Till()
    with tracing(1.0) as traced:
        async with till.open() as on:
            await add(on, 5)
            await add(on, 5)
        first, second = traced.of(SpanKind.SERVER)
    assert [attributes(one)["trunk.tenant"] for one in (first, second)] == ["acme", "acme"]
    assert [attributes(one).get("trunk.replayed") for one in (first, second)] == [None, True]
