"""Spans of served calls, and of the effects that events have. While they last they are OpenTelemetry's current span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Span, SpanKind, get_current_span, set_span_in_context

from trunkline.telemetry import spans, trace_context

if TYPE_CHECKING:
    from trunkline.telemetry.traces import Traces

SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that make a server's span a failure (OpenTelemetry's conventions for gRPC); others are the caller's."""


class ServerTracer:
    """Traces the calls of one served method."""

    def __init__(self, traces: Traces, method: str) -> None:
        self._traces = traces
        self._name = method.lstrip("/")
        self._attributes = spans.rpc_attributes(self._name)

    def begin(self, traceparent: object, tracestate: object, request_id: str) -> tuple[str, ServerTrace | None]:
        """Begins a call: the `traceparent` that stands for it from here on, and its trace if it is sampled.

        The `traceparent` is what calls and events that follow from it are given.

        Args:
            traceparent: as it was received; None or nonsense is none.
            tracestate: likewise.
            request_id: names a trace that begins here.
        """
        inbound = trace_context.read(traceparent)
        if inbound:
            if not trace_context.is_sampled(inbound):
                return inbound, None
            parent = spans.remote(inbound, tracestate)
            span = self._traces.start(self._name, SpanKind.SERVER, self._attributes, parent)
        else:
            refusal = self._traces.decide(request_id)
            if refusal is not None:
                return refusal, None
            span = self._traces.start(self._name, SpanKind.SERVER, self._attributes, Context(), root=request_id)
        return (spans.header_of(span), ServerTrace(span)) if span.is_recording() else (inbound, None)


class ConsumerTracer:
    """Traces the effects of one topic's events."""

    def __init__(self, traces: Traces, topic: str) -> None:
        self._traces = traces
        self._name = f"process {topic}"
        self._attributes: spans.Attributes = {
            "messaging.system": "trunkline",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
        }

    def begin(self, traceparent: str, event_id: str) -> tuple[str, EffectTrace | None]:
        """Begins an effect: the `traceparent` that stands for it from here on, and its trace if it is sampled.

        An event is traced if the call that caused it was; none begins a trace.

        Args:
            traceparent: of the event's envelope.
            event_id: of the envelope.
        """
        inbound = trace_context.read(traceparent)
        if not trace_context.is_sampled(inbound):
            return inbound, None
        attributes = self._attributes | {"messaging.message.id": event_id}
        span = self._traces.start(self._name, SpanKind.CONSUMER, attributes, spans.remote(inbound))
        return (spans.header_of(span), EffectTrace(span)) if span.is_recording() else (inbound, None)


class _Current:
    """Makes a span the current one."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._before = get_current()
        # Not undone by its token: a stream may be ended from another task, and a token is of use in its own only.
        attach(set_span_in_context(span))

    def _leave(self) -> None:
        if get_current_span() is self._span:
            attach(self._before)


class ServerTrace(_Current):
    """A sampled call while it is served."""

    def ended(self, code: str, reason: str = "", *, tenant_id: str = "", replayed: bool = False) -> None:
        """Ends it. Only the first end counts, from whatever task.

        tenant_id: whom the call belongs to. replayed: the answer is the stored one of an earlier call.
        """
        if self._span.is_recording():
            if tenant_id:
                self._span.set_attribute("trunk.tenant", tenant_id)
            if replayed:
                self._span.set_attribute("trunk.replayed", value=True)
            spans.set_code(self._span, code)
            spans.end(self._span, reason or code if code in SERVER_FAULTS else "", reason)
        self._leave()


class EffectTrace(_Current):
    """A sampled event while it has its effect."""

    def ended(self, reason: str = "", *, tenant_id: str = "") -> None:
        """Ends it. Only the first end counts.

        reason: why it had no effect; empty if it had. tenant_id: whom the event belongs to.
        """
        if self._span.is_recording():
            if tenant_id:
                self._span.set_attribute("trunk.tenant", tenant_id)
            spans.end(self._span, reason, reason)
        self._leave()
