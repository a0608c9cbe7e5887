"""Log lines name the trace they belong to, where one is recorded."""

from __future__ import annotations

from typing import Any

from trunkline.call import InboundCall, serving
from trunkline.telemetry.logs import _call_fields

from tests.trunkline.telemetry.tracing import METHOD, REQUEST, SAMPLED, UNSAMPLED


def fields() -> dict[str, Any]:
    """What a line of the current call has."""
    return dict(_call_fields(None, "info", {"event": "x"}))


def test_a_line_of_a_sampled_call_names_its_trace(traces):
    """The trace is named while the call is served, beside its request."""
    _, inbound = traces.server(METHOD).begin(SAMPLED, None, "till-7")
    with serving(InboundCall(METHOD, "till-7")):
        assert (fields()["trace_id"], fields()["request_id"]) == (REQUEST, "till-7")
    inbound.ended("OK")
    assert "trace_id" not in fields()


def test_a_line_of_a_call_that_is_not_sampled_names_none(traces):
    """Nobody is sent looking for a trace that was never recorded."""
    traces.server(METHOD).begin(UNSAMPLED, None, REQUEST)
    with serving(InboundCall(METHOD, REQUEST)):
        assert "trace_id" not in fields()
