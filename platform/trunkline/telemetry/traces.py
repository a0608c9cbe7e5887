"""Traces of calls and events. The decision is ours and cheap; OpenTelemetry is touched for sampled calls only.

A call that is not sampled costs a look at a string and a header: no span, no context. What was decided for a call holds
for everything that follows from it, in all services and consumers: it travels in `traceparent`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Tracer, get_tracer

from trunkline.telemetry import trace_context
from trunkline.telemetry.client_traces import ClientTracer
from trunkline.telemetry.event_traces import ConsumerTracer, ProducerTracer
from trunkline.telemetry.server_traces import ServerTracer
from trunkline.telemetry.spans import Attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

DEFAULT_RATIO = 0.01
"""Share of calls without a trace that begin one."""
root_request_id: ContextVar[str | None] = ContextVar("trunkline_root_request_id", default=None)
"""Set while a span is started that begins a trace: that is decided then, and the trace may have the request's id."""


class Pipeline(Protocol):
    """Where spans go."""

    tracer: Tracer
    """Makes them."""

    def flush(self) -> None:
        """Sends what has ended."""
        ...

    def close(self) -> None:
        """Sends what has ended, and ends."""
        ...


class Traces:
    """What a process traces. Until it is configured it begins no trace and makes no span, but hands on what comes."""

    def __init__(self, dice: Callable[[], float] = random.random) -> None:
        self.dice = dice
        """Gives a number from 0 up to 1."""
        self.ratio: float | None = None
        """Share of calls without a trace that begin one; None where nothing is traced."""
        self._pipeline: Pipeline | None = None

    def client(self, target: str, method: str) -> ClientTracer:
        """Traces calls to a method of a target. To be made once and kept."""
        return ClientTracer(self, target, method)

    def server(self, method: str) -> ServerTracer:
        """Traces the calls of a served method. To be made once and kept."""
        return ServerTracer(self, method)

    def producer(self, topic: str) -> ProducerTracer:
        """Traces the publication of a topic's events. To be made once and kept."""
        return ProducerTracer(self, topic)

    def consumer(self, topic: str) -> ConsumerTracer:
        """Traces the effects of a topic's events. To be made once and kept."""
        return ConsumerTracer(self, topic)

    def use(self, pipeline: Pipeline, ratio: float) -> None:
        """From now on spans go there. What was used before is closed."""
        self.close()
        self._pipeline, self.ratio = pipeline, ratio

    def flush(self) -> None:
        """Sends what has ended. Blocks until it is sent or has failed."""
        if self._pipeline is not None:
            self._pipeline.flush()

    def close(self) -> None:
        """Sends what has ended, and traces no more. Blocks for seconds where the collector is away."""
        pipeline, self._pipeline, self.ratio = self._pipeline, None, None
        if pipeline is not None:
            pipeline.close()

    def decide(self, request_id: str) -> str | None:
        """What a call without a trace hands on as `traceparent` if it begins none; None if it begins one."""
        if self.ratio is None:
            # It is not for a process that traces nothing to decide for others.
            return ""
        return None if self.dice() < self.ratio else trace_context.unsampled(request_id)

    def start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        parent: Context,
        *,
        root: str | None = None,
        links: Sequence[Link] = (),
    ) -> Span:
        """Starts a span. root: the request id, where it begins a trace. links: what else it has to do with."""
        # A program may have its own OpenTelemetry: then what its spans cause is traced there.
        tracer = self._pipeline.tracer if self._pipeline is not None else get_tracer("trunkline")
        deciding = root_request_id.set(root)
        try:
            return tracer.start_span(name, parent, kind, attributes, links)
        finally:
            root_request_id.reset(deciding)


TRACES = Traces()
"""The process's own."""


def configure_traces(
    service: str,
    ratio: float = DEFAULT_RATIO,
    otlp_endpoint: str = "",
    *,
    exporter: SpanExporter | None = None,
    traces: Traces = TRACES,
) -> None:
    """Traces from now on, and exports in the background. Does nothing where there is nowhere to export to.

    Args:
        service: its name (`service.name`).
        ratio: share of calls without a trace that begin one, from 0 to 1.
        otlp_endpoint: collector that takes OTLP over gRPC, such as `http://127.0.0.1:4317`; `https://` encrypts.
        exporter: takes the spans instead of a collector.
        traces: what is configured. The process's own also becomes OpenTelemetry's global provider, unless the program
            has set one: spans that a handler starts then stand under those of its call.

    Raises:
        ValueError: the ratio is not from 0 to 1.
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"a ratio is from 0 to 1, not {ratio}")
    if exporter is None and not otlp_endpoint:
        return
    # The SDK takes 50 ms of start-up: only who exports pays.
    from trunkline.telemetry import trace_export

    pipeline = trace_export.Export(service, ratio, exporter or trace_export.otlp(otlp_endpoint))
    traces.use(pipeline, ratio)
    if traces is TRACES:
        pipeline.make_global()
