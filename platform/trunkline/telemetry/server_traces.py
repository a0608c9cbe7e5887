"""Spans of served calls. While they last they are OpenTelemetry's current span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

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


class ServerTrace(spans.Current):
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
        self.leave()
