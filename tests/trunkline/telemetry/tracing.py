"""Traces whose dice are the test's, and whose spans stay here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer
from trunkline.telemetry.traces import Traces, configure_traces

REQUEST = "4bf92f3577b34da6a3ce929d0e0e4736"
"""A request id that can be a trace's."""
SPAN = "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{REQUEST}-{SPAN}-01", f"00-{REQUEST}-{SPAN}-00"
METHOD = "/pos.item.v1.ItemService/GetItem"
NAME = "pos.item.v1.ItemService/GetItem"


class Tracing(Traces):
    """Traces at a ratio of one half; `toss` is what the dice show next."""

    def __init__(self, ratio: float = 0.5) -> None:
        super().__init__(lambda: self.toss)
        self.toss = 0.9
        self.thrown = 0
        self.exporter = InMemorySpanExporter()
        configure_traces("test", ratio, exporter=self.exporter, traces=self)

    @property
    def own(self) -> Tracer:
        """What a program's own spans are made with."""
        assert self._pipeline is not None
        return self._pipeline._provider.get_tracer("own")  # type: ignore[attr-defined, no-any-return]

    def spans(self) -> list[ReadableSpan]:
        """Spans that have ended, by their starts."""
        self.flush()
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


@pytest.fixture
def traces() -> Iterator[Tracing]:
    """Traces that are closed afterwards."""
    traces = Tracing()
    yield traces
    traces.close()


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Trace, span and parent, in hex; the parent may be empty."""
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{parent.span_id:016x}" if parent else ""
