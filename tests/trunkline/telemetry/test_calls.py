"""Real calls through both chains: counted once, traced hop by hop, in every shape and however they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.telemetry.metrics import METRICS
from trunkline.telemetry.trace_export import Export
from trunkline.telemetry.traces import TRACES
from trunkline.testing.ping import PingServicer, Reached, bench

from tests.trunkline.interceptors.servicers import Hop, until, without_waiting
from tests.trunkline.interceptors.shapes import SHAPES, failing, failure, send
from tests.trunkline.telemetry.tracing import ids

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Recorded:
    """The spans of this process."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def spans(self) -> list[ReadableSpan]:
        """Those of the bench that have ended, by their starts."""
        TRACES.flush()
        ended = [span for span in self.exporter.get_finished_spans() if "PingService" in span.name]
        return sorted(ended, key=lambda span: span.start_time or 0)

    def codes(self) -> list[object]:
        """Their codes."""
        return [(span.attributes or {})["rpc.response.status_code"] for span in self.spans()]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Every call is traced."""
    recorded = Recorded()
    TRACES.use(Export("test", 1.0, recorded.exporter), 1.0)
    yield recorded
    TRACES.close()


def counted(name: str, shape: str, **labels: str) -> float:
    """A count of a method of the bench."""
    return METRICS.value(name, grpc_method=f"trunk.testing.v1.PingService/{shape}", **labels)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_call_is_a_call_an_attempt_and_a_served_call(recorded, shape):
    """Three spans, each under the one before, in every shape; and one more of everything that is counted."""
    names = ("grpc_client_attempt_started_total", "grpc_client_call_duration_seconds_count",
             "grpc_client_attempt_duration_seconds_count", "grpc_server_call_duration_seconds_count")  # fmt: skip
    before = [counted(name, shape) for name in names]
    async with bench() as on:
        await send(on.ping, shape)
        await until(lambda: len(recorded.spans()) == 3)
    call, attempt, served = (ids(span) for span in recorded.spans())
    assert (call[2], attempt[2], served[2]) == ("", call[1], attempt[1])
    assert [span.kind for span in recorded.spans()] == [SpanKind.CLIENT, SpanKind.CLIENT, SpanKind.SERVER]
    assert recorded.codes() == ["OK"] * 3
    assert [counted(name, shape) for name in names] == [count + 1 for count in before]
    assert counted("grpc_server_running", shape) == 0


async def test_every_repeat_is_an_attempt_of_one_call(recorded):
    """Two failures and an answer: one call, three attempts, three served calls, each under its attempt."""
    async with bench() as on:
        without_waiting(on)
        await send(on.ping, "Ping", failing(UNAVAILABLE, UNAVAILABLE))
    call, *rest = recorded.spans()
    attempts = [span for span in rest if span.kind is SpanKind.CLIENT]
    served = [span for span in rest if span.kind is SpanKind.SERVER]
    assert {ids(span)[2] for span in attempts} == {ids(call)[1]}
    assert [ids(span)[2] for span in served] == [ids(span)[1] for span in attempts]
    assert [(span.attributes or {}).get("trunk.attempt") for span in attempts] == [1, 2, 3]
    assert [(span.attributes or {}).get("trunk.reason") for span in served] == ["AS_ASKED", "AS_ASKED", None]


async def test_a_second_hop_stands_under_the_first(recorded):
    """What a handler calls stands under its call: one trace over both hops."""
    async with bench(ping=PingServicer(Reached())) as far, bench(ping=Hop(far.ping)) as near:
        await near.ping.Ping(pb.PingRequest(value="v"))
    first, _, served, second, *_ = recorded.spans()
    assert len({ids(span)[0] for span in recorded.spans()}) == 1
    assert len(recorded.spans()) == 6
    assert (ids(first)[2], ids(second)[2]) == ("", ids(served)[1])


async def test_a_call_that_is_not_sampled_leaves_nothing(recorded):
    """At a ratio of nought no hop makes a span, though all of them could."""
    TRACES.use(Export("test", 0.0, recorded.exporter), 0.0)
    async with bench() as far, bench(ping=Hop(far.ping)) as near:
        for shape in SHAPES:
            await send(near.ping, shape)
    assert recorded.spans() == []


async def test_a_stream_that_is_left_ends_all_its_spans(recorded, caplog):
    """A reader that goes away: three spans end, nothing runs on, and nobody complains about contexts."""
    with caplog.at_level(logging.WARNING):
        async with bench() as on:
            stream = on.ping.PingChat(_slowly())
            async for _ in stream:
                break
            stream.cancel()
            await until(lambda: len(recorded.spans()) == 3)
            await until(lambda: counted("grpc_server_running", "PingChat") == 0)
    # To the server's handler a stream that was left looks like one that has ended.
    assert recorded.codes()[:2] == ["CANCELLED"] * 2
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


async def _slowly() -> AsyncIterator[pb.PingChatRequest]:
    yield pb.PingChatRequest(value="v")
    await asyncio.Event().wait()


async def test_a_failure_has_its_code_and_reason_on_every_span(recorded):
    """Client, attempt and server tell the same code and reason; nothing of the message."""
    async with bench() as on:
        await failure(on.ping, "Ping", failing(grpc.StatusCode.NOT_FOUND))
    assert recorded.codes() == ["NOT_FOUND"] * 3
    told = [dict(span.attributes or {}) for span in recorded.spans()]
    assert [one["trunk.reason"] for one in told] == ["AS_ASKED"] * 3
    assert "asked for this" not in str([(span.name, span.status.description, span.events) for span in recorded.spans()])
