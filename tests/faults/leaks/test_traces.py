"""What a handler writes into its spans leaves without what must not be at rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from trunkline.telemetry.trace_export import Export

from tests.faults.leaks.cards import PAN, WRITTEN

SECRET = "hunter2-hunter2"
CARDS = [text for name, text in WRITTEN.items() if name != "check value"]


def exported(write: Callable[[trace.Tracer], None]) -> ReadableSpan:
    """The span that leaves when a handler has written into it."""
    exporter = InMemorySpanExporter()
    export = Export("till", 1.0, exporter)
    write(export._provider.get_tracer("handler"))
    export.flush()
    (span,) = exporter.get_finished_spans()
    export.close()
    return span


@pytest.mark.parametrize("text", [*CARDS, f"redis://:{SECRET}@redis:6379/0", f"Bearer {SECRET}"])
def test_what_a_handler_writes_into_a_span_is_hidden(text: str):
    """D16, D17: in attributes, events, names, and in exceptions that pass through it; the rest stays."""

    def handle(tracer: trace.Tracer) -> None:
        with tracer.start_as_current_span(f"pay {text}") as span:
            span.set_attribute("note", f"told {text} here")
            span.set_attribute("notes", [f"told {text} here", "plain"])
            span.set_attribute("password", SECRET)
            span.add_event(f"event {text}", {"inside": text, "amount": 12})
            raise ValueError(f"paid with {text}")

    def write(tracer: trace.Tracer) -> None:
        with pytest.raises(ValueError, match="paid"):
            handle(tracer)

    span = exported(write)
    events = [(one.name, dict(one.attributes or {})) for one in span.events]
    told = f"{span.name} {dict(span.attributes or {})} {events} {span.status.description}"
    assert [one for one in (text, PAN, SECRET) if one in told] == []
    attributes: Any = span.attributes
    assert attributes["notes"][1] == "plain"
    assert attributes["note"].startswith("told ")
    assert [one.name.split()[0] for one in span.events] == ["event", "exception"]
    event: Any = span.events[0].attributes
    assert event["amount"] == 12
    exception: Any = span.events[1].attributes
    assert exception["exception.type"] == "ValueError"
    assert exception["exception.message"].startswith("paid with ")
    assert span.status.status_code is trace.StatusCode.ERROR


def test_a_span_of_ours_leaves_as_it_is():
    """Nobody but us has written into it, and it holds names and codes only."""
    exporter = InMemorySpanExporter()
    export = Export("till", 1.0, exporter)
    with export.tracer.start_as_current_span("call", attributes={"rpc.method": "GetItem"}) as span:
        pass
    export.flush()
    (left,) = exporter.get_finished_spans()
    export.close()
    assert left.attributes == {"rpc.method": "GetItem"}
    assert left.start_time == span.start_time  # type: ignore[attr-defined]
