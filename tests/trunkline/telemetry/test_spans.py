"""Which span stands under which, what it tells, and how long it is the current one."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from trunkline.telemetry.server_traces import ServerTrace
from trunkline.telemetry.spans import current_trace_id
from trunkline.telemetry.traces import Traces

from tests.trunkline.telemetry.tracing import METHOD, NAME, REQUEST, SAMPLED, SPAN, ids


def told(span: ReadableSpan) -> dict[str, object]:
    """A span's attributes."""
    return dict(span.attributes or {})


def served(traces: Traces, header: str | None = SAMPLED, state: str | None = None) -> ServerTrace:
    """A sampled call that is being served."""
    _, serving_trace = traces.server(METHOD).begin(header, state, REQUEST)
    assert serving_trace is not None
    return serving_trace


def test_attempts_stand_under_the_call_and_the_server_under_its_attempt(traces):
    """One span a call, one an attempt, each attempt with a header of its own; the server's hangs on the one it got."""
    traces.toss = 0.0
    _, call = traces.client("item", METHOD).begin("", REQUEST)
    first = call.attempt(1)
    first.ended("UNAVAILABLE", "PEER_UNREACHABLE")
    call.event("retry", wait_s=0.05)
    second = call.attempt(2)
    inbound = served(traces, dict(second.metadata)["traceparent"])
    inbound.ended("OK", tenant_id="t1", replayed=True)
    second.ended("OK", replayed=True)
    call.ended("OK")
    spans = traces.spans()
    (trace_id, root, nobody), one, two, server = (ids(span) for span in spans)
    assert (trace_id, nobody) == (REQUEST, "")
    assert one[2] == two[2] == root
    assert server[2] == two[1]
    assert dict(first.metadata)["traceparent"] == f"00-{REQUEST}-{one[1]}-01"
    assert [span.name for span in spans] == [NAME] * 4
    assert [span.kind for span in spans] == [SpanKind.CLIENT] * 3 + [SpanKind.SERVER]
    assert [told(span).get("trunk.attempt") for span in spans] == [None, 1, 2, None]
    assert [(event.name, dict(event.attributes or {})) for event in spans[0].events] == [
        ("retry", {"trunk.wait_s": 0.05})
    ]


def test_spans_tell_what_the_conventions_ask_for(traces):
    """System, service, method, address, code as number and name, and our reason; the tenant's id and no more of it."""
    traces.toss = 0.0
    _, call = traces.client("item", METHOD).begin("", REQUEST)
    call.ended("UNAVAILABLE", "BREAKER_OPEN", stale=True)
    served(traces).ended("NOT_FOUND", "ITEM_NOT_FOUND", tenant_id="t1")
    client, server = traces.spans()
    rpc = {"rpc.system": "grpc", "rpc.service": "pos.item.v1.ItemService", "rpc.method": "GetItem"}
    assert told(client) == rpc | {
        "server.address": "item", "rpc.grpc.status_code": 14, "rpc.response.status_code": "UNAVAILABLE",
        "trunk.reason": "BREAKER_OPEN", "trunk.stale": True,
    }  # fmt: skip
    assert told(server) == rpc | {
        "rpc.grpc.status_code": 5, "rpc.response.status_code": "NOT_FOUND",
        "trunk.reason": "ITEM_NOT_FOUND", "trunk.tenant": "t1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "client", "server"),
    [("OK", False, False), ("NOT_FOUND", True, False), ("INTERNAL", True, True), ("WHATEVER", True, False)],
)
def test_a_callers_mistake_is_no_failure_of_the_server(traces, code, client, server):
    """A client's span fails with every code but OK, a server's with those that are its own fault."""
    traces.toss = 0.0
    _, call = traces.client("item", METHOD).begin("", REQUEST)
    call.ended(code)
    served(traces).ended(code)
    failed = [span.status.status_code is StatusCode.ERROR for span in traces.spans()]
    assert failed == [client, server]


def test_hedged_attempts_run_at_once_and_none_is_forgotten(traces):
    """Attempts that nobody has ended are cancelled with the call; only the first end of anything counts."""
    traces.toss = 0.0
    _, call = traces.client("item", METHOD).begin("", REQUEST)
    slow, quick = call.attempt(1), call.attempt(2)
    assert slow.metadata != quick.metadata
    quick.ended("OK")
    for _ in range(2):
        call.ended("OK")
        slow.ended("OK")
        quick.ended("INTERNAL")
    assert [told(span)["rpc.response.status_code"] for span in traces.spans()] == ["OK", "CANCELLED", "OK"]


def test_calls_of_a_handler_stand_under_its_call(traces):
    """What a handler calls, and spans of its own, stand under the server's span; calls inside those under them."""
    inbound = served(traces)
    with traces.own.start_as_current_span("own"):
        _, inner = traces.client("store", METHOD).begin(SAMPLED, REQUEST)
        inner.ended("OK")
    _, outer = traces.client("store", METHOD).begin(SAMPLED, REQUEST)
    outer.ended("OK")
    inbound.ended("OK")
    server, own, under_own, under_server = (ids(span) for span in traces.spans())
    assert server[2] == SPAN
    assert own[2] == under_server[2] == server[1]
    assert under_own[2] == own[1]


def test_where_the_context_is_lost_the_header_leads_back(traces):
    """In a thread or task that knows no span, the call's header says what a call stands under."""
    header, inbound = traces.server(METHOD).begin(SAMPLED, None, REQUEST)

    def elsewhere() -> None:
        _, call = traces.client("store", METHOD).begin(header, REQUEST)
        assert call is not None
        call.ended("OK")

    contextvars.Context().run(elsewhere)
    inbound.ended("OK")
    server, client = (ids(span) for span in traces.spans())
    assert client[2] == server[1]


def test_tracestate_is_handed_on_with_sampled_attempts(traces):
    """What other systems add travels to the next hop; more than W3C's 512 characters, bytes or nonsense do not."""
    good, long = "vendor=1,other=2", ",".join(f"vendor{number}={'y' * 100}" for number in range(8))
    for state, handed in ((good, good), (long, None), ("?", None), (b"a=b", None)):
        _, inbound = traces.server(METHOD).begin(SAMPLED, state, REQUEST)
        _, call = traces.client("store", METHOD).begin(SAMPLED, REQUEST)
        assert dict(call.attempt(1).metadata).get("tracestate") == handed
        call.ended("OK")
        inbound.ended("OK")


def test_the_call_is_current_until_it_ends(traces):
    """While it is served its trace is what logs name; afterwards what was before."""
    assert current_trace_id() == ""
    inbound = served(traces)
    assert current_trace_id() == REQUEST
    inbound.ended("OK")
    inbound.ended("INTERNAL")
    assert current_trace_id() == ""


async def _closed_elsewhere(stream: AsyncIterator[int]) -> None:
    await asyncio.create_task(stream.aclose())  # type: ignore[attr-defined]


async def _cancelled(stream: AsyncIterator[int]) -> None:
    task = asyncio.create_task(_drain(stream))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _drain(stream: AsyncIterator[int]) -> None:
    async for _ in stream:
        await asyncio.sleep(0)


@pytest.mark.parametrize("how", [_closed_elsewhere, _cancelled])
async def test_a_stream_may_end_in_another_task(traces, caplog, how: Callable[[AsyncIterator[int]], object]):
    """A stream that is closed or cancelled elsewhere ends its span once, and OpenTelemetry does not complain."""

    async def answers() -> AsyncIterator[int]:
        inbound = served(traces)
        try:
            for number in range(1000):
                yield number
        finally:
            inbound.ended("CANCELLED")

    stream = answers()
    await anext(stream)
    with caplog.at_level(logging.DEBUG):
        await how(stream)  # type: ignore[misc]
        await stream.aclose()  # type: ignore[attr-defined]
    assert [told(span)["rpc.response.status_code"] for span in traces.spans()] == ["CANCELLED"]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


async def test_calls_that_are_served_at_once_keep_to_themselves(traces):
    """Each task has its own current span."""

    async def serve(number: int) -> None:
        inbound = served(traces, f"00-{number:032x}-{SPAN}-01")
        for _ in range(3):
            await asyncio.sleep(0)
            assert current_trace_id() == f"{number:032x}"
        inbound.ended("OK")

    await asyncio.gather(*(serve(number) for number in range(1, 20)))
    assert len(traces.spans()) == 19
