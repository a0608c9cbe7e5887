"""A program that serves one sampled call, with a span of its own inside, and ends without closing anything."""

from __future__ import annotations

import sys

from opentelemetry.trace import get_tracer
from trunkline.telemetry.traces import TRACES, configure_traces

from tests.trunkline.telemetry.tracing import METHOD, SAMPLED

configure_traces("till", 1.0, sys.argv[1])
_, call = TRACES.server(METHOD).begin(SAMPLED, None, "")
assert call is not None
with get_tracer("mine").start_as_current_span("own"):
    pass
call.ended("OK")
