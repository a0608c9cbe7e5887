"""What leaves as a trace: spans of handlers and libraries hold what they like, exceptions with their texts among it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from trunkline.telemetry.logs import safe_value

OURS = ("rpc.", "trunk.", "messaging.")
"""How attributes begin that we set ourselves, to methods, codes, reasons and names of topics."""
SCOPE = "trunkline"
"""Name of our own tracer."""


class Safe(SpanExporter):
    """Hides in spans what is hidden in logs, and hands them on. Runs where spans are sent: not on a call's way."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends them."""
        return self._exporter.export([_safe(span) if _may_tell(span) else span for span in spans])

    def shutdown(self) -> None:
        """Ends it."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Sends what waits."""
        return self._exporter.force_flush(timeout_millis)


def _may_tell(span: ReadableSpan) -> bool:
    """Whether anybody but us has written into it."""
    scope = span.instrumentation_scope
    return (
        bool(span.events)
        or scope is None
        or scope.name != SCOPE
        or not all(name.startswith(OURS) for name in span.attributes or ())
    )


def _safe(span: ReadableSpan) -> ReadableSpan:
    description = span.status.description
    return ReadableSpan(
        name=safe_value(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[Event(safe_value(one.name), _attributes(one.attributes), one.timestamp) for one in span.events],
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code, safe_value(description)) if description else span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _attributes(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: safe_value(value, name) for name, value in (given or {}).items()}
