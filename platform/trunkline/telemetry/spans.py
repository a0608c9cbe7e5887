"""Small things that all spans share: where they hang, what is sent of them, how they end."""

from __future__ import annotations

import grpc
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from trunkline.headers import TRACEPARENT, TRACESTATE
from trunkline.telemetry.card_numbers import refusable

Attributes = dict[str, str | int | float | bool]
"""What a span tells beside its name."""
TRACESTATE_LIMIT = 512
"""Characters of `tracestate` that are handed on (W3C Trace Context); of a longer one nothing is."""
_NUMBERS: dict[str, int] = {code.name: code.value[0] for code in grpc.StatusCode}


def rpc_attributes(name: str) -> Attributes:
    """What spans tell of a method such as `pos.item.v1.ItemService/GetItem`."""
    service, _, method = name.rpartition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}


def remote(traceparent: str, tracestate: object = None) -> Context:
    """A context under the span that a well-formed `traceparent` names."""
    return set_span_in_context(NonRecordingSpan(context_of(traceparent, tracestate)), Context())


def context_of(traceparent: str, tracestate: object = None) -> SpanContext:
    """The span that a well-formed `traceparent` names."""
    _, trace_id, span_id, flags = traceparent.split("-")
    state = tracestate if isinstance(tracestate, str) and _may_go_on(tracestate) else ""
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16)),
        trace_state=TraceState.from_header([state]) if state else None,
    )


def _may_go_on(tracestate: str) -> bool:
    return len(tracestate) <= TRACESTATE_LIMIT and not refusable(tracestate)


def header_of(span: Span) -> str:
    """The `traceparent` of what stands under a span; empty where there is no trace."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else ""


def metadata_of(span: Span) -> list[tuple[str, str]]:
    """`traceparent` and, where there is one, `tracestate` of what stands under a span."""
    state = span.get_span_context().trace_state
    parent = (TRACEPARENT, header_of(span))
    return [parent, (TRACESTATE, state.to_header())] if state else [parent]


def set_code(span: Span, code: str) -> None:
    """Tells the status of a call, as number and as name (OpenTelemetry's conventions for RPC, old and new)."""
    span.set_attribute("rpc.grpc.status_code", _NUMBERS.get(code, _NUMBERS["UNKNOWN"]))
    span.set_attribute("rpc.response.status_code", code)


def end(span: Span, failure: str, reason: str, *, at_ns: int | None = None) -> None:
    """Ends a span.

    Args:
        span: what ends.
        failure: what it failed with, or empty.
        reason: the platform's reason, or empty.
        at_ns: when it ended, where that is not now.
    """
    if reason:
        span.set_attribute("trunk.reason", reason)
    if failure:
        span.set_status(Status(StatusCode.ERROR, failure))
    span.end(at_ns)


class Current:
    """Makes a span the current one."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._before = get_current()
        # Not undone by its token: a stream may be ended from another task, and a token is of use in its own only.
        attach(set_span_in_context(span))

    def leave(self) -> None:
        """Makes what was before the current one, unless something else has become it."""
        if get_current_span() is self._span:
            attach(self._before)


def current_trace_id() -> str:
    """Id of the trace that is recorded here, 32 hex digits; empty if none is."""
    context = get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.trace_flags.sampled and context.is_valid else ""
