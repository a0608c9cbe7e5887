"""Spans reach a collector over OTLP, and a collector that is away holds nobody up."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from trunkline.telemetry import trace_export
from trunkline.telemetry.traces import Traces, configure_traces

from tests.trunkline.telemetry.collector import attributes, collecting
from tests.trunkline.telemetry.tracing import METHOD, NAME, REQUEST, SAMPLED, SPAN

ROOT = Path(__file__).parents[3]


async def test_a_collector_gets_the_spans_of_both_sides_and_all_attempts():
    """Over real OTLP: root, two attempts and the server, with the right parents, kinds, codes and resource."""
    traces = Traces()
    async with collecting() as collector:
        configure_traces("till", 1.0, collector.endpoint, traces=traces)
        _, call = traces.client("item", METHOD).begin("", REQUEST)
        assert call is not None
        call.attempt(1).ended("UNAVAILABLE", "PEER_UNREACHABLE")
        second = call.attempt(2)
        header, inbound = traces.server(METHOD).begin(dict(second.metadata)["traceparent"], None, REQUEST)
        assert inbound is not None
        for one in (inbound, second, call):
            one.ended("OK")
        await asyncio.to_thread(traces.close)
    root, first, other, server = collector.spans
    assert {span.trace_id.hex() for span in collector.spans} == {REQUEST}
    assert {span.name for span in collector.spans} == {NAME}
    assert root.parent_span_id == b""
    assert first.parent_span_id == other.parent_span_id == root.span_id
    assert server.parent_span_id == other.span_id
    assert header == f"00-{REQUEST}-{server.span_id.hex()}-01"
    assert [span.kind for span in collector.spans] == [3, 3, 3, 2]
    assert attributes(first)["rpc.grpc.status_code"] == 14
    assert attributes(first)["trunk.reason"] == "PEER_UNREACHABLE"
    assert collector.resources[0]["service.name"] == "till"


async def test_a_collector_hears_nothing_of_calls_that_are_not_sampled():
    """With a ratio of 0 nothing is sent, not even when tracing ends."""
    traces = Traces()
    async with collecting() as collector:
        configure_traces("till", 0.0, collector.endpoint, traces=traces)
        for _ in range(1000):
            header, _ = traces.client("item", METHOD).begin("", REQUEST)
            traces.server(METHOD).begin(header, None, REQUEST)
        await asyncio.to_thread(traces.close)
    assert collector.spans == []
    assert collector.resources == []


async def test_a_program_that_just_ends_loses_nothing():
    """The last spans are sent when the process ends; a handler's own span stands under its call's."""
    async with collecting() as collector:
        program = [sys.executable, "-m", "tests.trunkline.telemetry.traced_program", collector.endpoint]
        ended = await asyncio.to_thread(
            subprocess.run, program, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    server, own = collector.spans
    assert (server.name, own.name) == (NAME, "own")
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (REQUEST, SPAN)
    assert own.parent_span_id == server.span_id


class Stuck(SpanExporter):
    """An exporter that hangs until it is told to end."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hangs."""
        return SpanExportResult.FAILURE if self.ended.wait(60) else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Ends."""
        self.ended.set()


def test_a_collector_that_hangs_is_given_up(monkeypatch):
    """Closing waits for the time that is set, tells the exporter to end, and returns."""
    monkeypatch.setattr(trace_export, "CLOSE_S", 0.02)
    traces, exporter = Traces(), Stuck()
    configure_traces("till", 1.0, exporter=exporter, traces=traces)
    _, call = traces.server(METHOD).begin(SAMPLED, None, REQUEST)
    assert call is not None
    call.ended("OK")
    traces.close()
    assert exporter.ended.is_set()
    assert traces.client("item", METHOD).begin("", REQUEST) == ("", None)


def test_encryption_follows_the_address():
    """Only `https://` encrypts; an address without a scheme is one in the clear."""
    assert [trace_export.otlp(f"{scheme}127.0.0.1:1")._insecure for scheme in ("http://", "https://", "")] == [  # type: ignore[attr-defined]
        True, False, True,
    ]  # fmt: skip


def test_the_sdk_is_loaded_by_who_exports_only():
    """A process that neither exports nor is scraped imports neither the SDK nor an exporter nor Prometheus' client."""
    code = (
        "import json, sys; from trunkline.telemetry import metrics, traces; traces.configure_traces('x', 1.0);"
        "print(json.dumps([name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus'))]))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = json.loads(told.stdout)
    assert not [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "prom"))]
