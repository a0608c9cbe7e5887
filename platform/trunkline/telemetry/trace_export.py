"""OpenTelemetry's SDK as we use it: who samples, how traces are named, where spans go. Imported by who exports only."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from trunkline.call import current_call
from trunkline.telemetry import trace_context
from trunkline.telemetry.trace_safety import Safe
from trunkline.telemetry.traces import root_request_id

CLOSE_S = 3.0
"""Seconds that the last spans have to be sent when a process ends."""


def otlp(endpoint: str) -> SpanExporter:
    """Sends spans to a collector over gRPC; in the clear unless the address starts with `https://`."""
    return OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"))


class Export:
    """Spans in batches, in the background, to one exporter. At most 2048 wait; more are dropped and that is logged."""

    def __init__(self, service: str, ratio: float, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            sampler=ParentBased(_Roots(ratio)),
            id_generator=_Ids(),
        )
        self._provider.add_span_processor(_Batches(Safe(exporter)))
        self.tracer = self._provider.get_tracer("trunkline")
        """Makes our spans."""

    def flush(self) -> None:
        """Sends what has ended. Blocks until it is sent or has failed."""
        self._provider.force_flush()

    def close(self) -> None:
        """Sends what has ended, for CLOSE_S at most, and ends. Also happens when the process ends."""
        self._provider.shutdown()

    def make_global(self) -> None:
        """Becomes OpenTelemetry's global provider, unless there is one."""
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self._provider)


class _Batches(BatchSpanProcessor):
    def shutdown(self) -> None:
        # Without a limit it is 30 s, which is all that a process may have to end.
        self._batch_processor.shutdown(timeout_millis=int(CLOSE_S * 1000))


class _Roots(Sampler):
    """Decides about spans without a parent."""

    def __init__(self, ratio: float) -> None:
        self._by_ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if root_request_id.get() is not None:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        call = current_call()
        if call is not None and call.deadline is not None:
            # A handler's own span, of a call that is not sampled: else it would be the current one.
            return SamplingResult(Decision.DROP)
        return self._by_ratio.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return f"as the call was decided, else {self._by_ratio.get_description()}"


class _Ids(RandomIdGenerator):
    """A trace has the id of the request it begins with, so that either finds the other."""

    def generate_trace_id(self) -> int:
        return self._request() or super().generate_trace_id()

    def is_trace_id_random(self) -> bool:
        return self._request() is None

    @staticmethod
    def _request() -> int | None:
        return trace_context.trace_id_of(root_request_id.get() or "")
