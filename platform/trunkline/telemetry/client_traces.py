"""Spans of outgoing calls: one a call, and one below it for each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context, get_current
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, get_current_span, set_span_in_context

from trunkline.telemetry import spans, trace_context

if TYPE_CHECKING:
    from trunkline.telemetry.traces import Traces


class ClientTracer:
    """Traces calls to one method of one target."""

    def __init__(self, traces: Traces, target: str, method: str) -> None:
        self._traces = traces
        self._name = method.lstrip("/")
        self._attributes = spans.rpc_attributes(self._name) | {"server.address": target}

    def begin(self, inbound: str, request_id: str) -> tuple[str, ClientTrace | None]:
        """Begins a call: what to send as `traceparent` (empty: nothing), and its trace if it is sampled.

        A sampled call sends nothing itself: its attempts do.

        Args:
            inbound: `traceparent` of the call or event that is being served; empty outside one.
            request_id: names a trace that begins here.
        """
        if inbound and not trace_context.is_sampled(inbound):
            return inbound, None
        context = get_current()
        # Nothing is nearly always all there is: looking for a span in it costs more than this.
        current = get_current_span(context) if context else INVALID_SPAN
        if current is not INVALID_SPAN:
            header = spans.header_of(current)
            return self._begin(context, header) if trace_context.is_sampled(header) else (header, None)
        if inbound:
            return self._begin(spans.remote(inbound), inbound)
        refusal = self._traces.decide(request_id)
        return (refusal, None) if refusal is not None else self._begin(Context(), "", root=request_id)

    def begin_root(self, request_id: str) -> tuple[str, ClientTrace | None]:
        """As begin, outside any call and with a request id made here, of which nothing need be checked."""
        if get_current():
            return self.begin("", request_id)
        ratio = self._traces.ratio
        if ratio is None:
            return "", None
        if self._traces.dice() >= ratio:
            return f"00-{request_id}-{request_id[16:]}-00", None
        return self._begin(Context(), "", root=request_id)

    def _begin(self, parent: Context, header: str, *, root: str | None = None) -> tuple[str, ClientTrace | None]:
        span = self._traces.start(self._name, SpanKind.CLIENT, self._attributes, parent, root=root)
        if not span.is_recording():
            # Nobody records here; the trace goes on behind.
            return header, None
        return "", ClientTrace(self._traces, span, self._name, self._attributes)


class ClientTrace:
    """A sampled call while it is made."""

    def __init__(self, traces: Traces, span: Span, name: str, attributes: spans.Attributes) -> None:
        self._traces = traces
        self._span = span
        self._name = name
        self._attributes = attributes
        self._parent = set_span_in_context(span, Context())
        self._attempts: list[AttemptTrace] = []

    def attempt(self, number: int) -> AttemptTrace:
        """Begins an attempt; the first one is number 1. Attempts may run at once."""
        attributes = self._attributes | {"trunk.attempt": number}
        attempt = AttemptTrace(self._traces.start(self._name, SpanKind.CLIENT, attributes, self._parent))
        self._attempts.append(attempt)
        return attempt

    def event(self, name: str, **attributes: str | float | bool) -> None:
        """Notes what happened between attempts: `retry`, `hedge`, `refused`."""
        self._span.add_event(name, {f"trunk.{key}": value for key, value in attributes.items()})

    def ended(self, code: str, reason: str = "", *, stale: bool = False) -> None:
        """Ends it, and attempts that nobody has ended. Only the first end counts, from whatever task.

        stale: the answer is an old one from the cache.
        """
        for attempt in self._attempts:
            attempt.ended("CANCELLED")
        if stale:
            self._span.set_attribute("trunk.stale", value=True)
        _end(self._span, code, reason)


class AttemptTrace:
    """A sampled attempt while it is made."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.metadata = spans.metadata_of(span)
        """To be sent with the attempt: `traceparent`, and `tracestate` where there is one."""

    def ended(self, code: str, reason: str = "", *, replayed: bool = False) -> None:
        """Ends it. Only the first end counts, from whatever task.

        replayed: the answer is the stored one of an earlier call with the same key.
        """
        if replayed:
            self._span.set_attribute("trunk.replayed", value=True)
        _end(self._span, code, reason)


def _end(span: Span, code: str, reason: str) -> None:
    if span.is_recording():
        spans.set_code(span, code)
        spans.end(span, "" if code == "OK" else reason or code, reason)
