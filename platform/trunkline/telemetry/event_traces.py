"""Spans of events: of their publication, and of the effects they have."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.context import get_current
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, get_current_span

from trunkline.telemetry import spans, trace_context

if TYPE_CHECKING:
    from trunkline.telemetry.traces import Traces


class ProducerTracer:
    """Traces the publication of one topic's events."""

    def __init__(self, traces: Traces, topic: str) -> None:
        self._traces = traces
        self._name = f"publish {topic}"
        self._attributes = _attributes(topic, "send")

    def begin(self, inbound: str, event_id: str) -> tuple[str, PublishTrace | None]:
        """Begins a publication: the `traceparent` of what comes of the event, and its trace if it is sampled.

        An event is traced if the call that causes it is; none begins a trace.

        Args:
            inbound: `traceparent` of the call that is being served; empty outside one.
            event_id: of the event's envelope.
        """
        if not trace_context.is_sampled(inbound):
            return inbound, None
        context = get_current()
        # A handler's own span stands nearer than its call's.
        current = get_current_span(context) if context else INVALID_SPAN
        parent = spans.remote(inbound) if current is INVALID_SPAN else context
        attributes = self._attributes | {"messaging.message.id": event_id}
        span = self._traces.start(self._name, SpanKind.PRODUCER, attributes, parent)
        return (spans.header_of(span), PublishTrace(span)) if span.is_recording() else (inbound, None)


class PublishTrace:
    """A sampled event from its publication to its commit."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def committed(self, tenant_id: str) -> None:
        """Ends it. One that is never committed is not sent: nothing was published."""
        self._span.set_attribute("trunk.tenant", tenant_id)
        self._span.end()


class ConsumerTracer:
    """Traces the effects of one topic's events."""

    def __init__(self, traces: Traces, topic: str) -> None:
        self._traces = traces
        self._name = f"process {topic}"
        self._attributes = _attributes(topic, "process")

    def begin(self, traceparent: str, event_id: str, call_traceparent: str = "") -> tuple[str, EffectTrace | None]:
        """Begins an effect: the `traceparent` that stands for it from here on, and its trace if it is sampled.

        An event is traced if the call that caused it was; none begins a trace.

        Args:
            traceparent: of the event's envelope: the effect stands under it.
            event_id: of the envelope.
            call_traceparent: of the envelope: the effect is linked to it.
        """
        inbound = trace_context.read(traceparent)
        if not trace_context.is_sampled(inbound):
            return inbound, None
        call = trace_context.read(call_traceparent)
        links = [Link(spans.context_of(call))] if call else []
        attributes = self._attributes | {"messaging.message.id": event_id}
        span = self._traces.start(self._name, SpanKind.CONSUMER, attributes, spans.remote(inbound), links=links)
        return (spans.header_of(span), EffectTrace(span)) if span.is_recording() else (inbound, None)


class EffectTrace(spans.Current):
    """A sampled event while it has its effect."""

    _end_ns: int | None = None

    def applied(self) -> None:
        """The handler has done its part: the span is current no more, and lasts until here if it is committed."""
        self._end_ns = time.time_ns()
        self.leave()

    def ended(self, reason: str = "", *, tenant_id: str = "") -> None:
        """Ends it. Only the first end counts. One that is undone with its batch is not ended: it had no effect.

        reason: why it had no effect; empty if it had. tenant_id: whom the event belongs to.
        """
        if self._span.is_recording():
            if tenant_id:
                self._span.set_attribute("trunk.tenant", tenant_id)
            spans.end(self._span, reason, reason, at_ns=self._end_ns)
        self.leave()


def _attributes(topic: str, operation: str) -> spans.Attributes:
    return {
        "messaging.system": "trunkline",
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }
