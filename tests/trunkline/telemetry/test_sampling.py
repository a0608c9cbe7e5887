"""Who decides whether a call is traced, and what is handed on."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from trunkline.call import InboundCall, acting_for, serving
from trunkline.telemetry.trace_context import is_sampled
from trunkline.telemetry.traces import Traces, configure_traces

from tests.trunkline.telemetry.tracing import METHOD, REQUEST, SAMPLED, UNSAMPLED, Tracing, ids


def test_until_it_is_configured_nothing_is_decided_and_all_is_handed_on():
    """A process that traces nothing sends no header of its own, and passes on the one it got."""
    traces = Traces(lambda: 0.0)
    assert traces.client("item", METHOD).begin("", REQUEST) == ("", None)
    assert traces.server(METHOD).begin(None, None, REQUEST) == ("", None)
    for header in (SAMPLED, UNSAMPLED):
        assert traces.server(METHOD).begin(header, None, REQUEST) == (header, None)
        assert traces.client("item", METHOD).begin(header, REQUEST) == (header, None)
        assert traces.consumer("tranlog").begin(header, "e1") == (header, None)


def test_without_somewhere_to_export_to_nothing_is_configured():
    """A ratio alone makes no spans: they would go nowhere."""
    traces = Traces(lambda: 0.0)
    configure_traces("test", 1.0, traces=traces)
    assert traces.client("item", METHOD).begin("", REQUEST) == ("", None)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_is_from_0_to_1(ratio):
    """Anything else is refused."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        configure_traces("test", ratio, traces=Traces())


@pytest.mark.parametrize(("toss", "sampled"), [(0.0, True), (0.49, True), (0.5, False), (0.99, False)])
def test_dice_decide_about_a_call_without_a_trace(traces, toss, sampled):
    """Below the ratio it is traced, under the request's id; else all hops are told that it is not."""
    traces.toss = toss
    header, call = traces.client("item", METHOD).begin("", REQUEST)
    assert (call is not None) is sampled
    assert header == ("" if sampled else f"00-{REQUEST}-{REQUEST[16:]}-00")
    header, inbound = traces.server(METHOD).begin(None, None, REQUEST)
    assert (inbound is not None) is is_sampled(header) is sampled
    assert header.split("-")[1] == REQUEST
    if inbound is not None:
        inbound.ended("OK")


@pytest.mark.parametrize(("ratio", "sampled"), [(0.0, False), (1.0, True)])
def test_never_and_always_are_meant(ratio, sampled):
    """A ratio of 0 is never and of 1 always, whatever the dice show."""
    traces = Tracing(ratio)
    for traces.toss in (0.0, 0.5, 1.0 - 1e-16):
        assert (traces.client("item", METHOD).begin("", REQUEST)[1] is not None) is sampled
    traces.close()


def test_what_came_is_not_decided_again(traces):
    """A call that is not sampled stays so on every hop, and one that is stays so, whatever the dice show."""
    traces.toss = 0.0
    assert traces.server(METHOD).begin(UNSAMPLED, None, REQUEST) == (UNSAMPLED, None)
    assert traces.client("item", METHOD).begin(UNSAMPLED, REQUEST) == (UNSAMPLED, None)
    assert traces.consumer("tranlog").begin(UNSAMPLED, "e1") == (UNSAMPLED, None)
    traces.toss = 0.9
    header, inbound = traces.server(METHOD).begin(SAMPLED, None, "another")
    assert inbound is not None
    assert header.split("-")[1] == REQUEST
    inbound.ended("OK")


def test_nonsense_is_decided_about_as_if_nothing_had_come(traces):
    """A broken header is no trace."""
    header, inbound = traces.server(METHOD).begin("00-broken", b"junk", REQUEST)
    assert inbound is None
    assert header == f"00-{REQUEST}-{REQUEST[16:]}-00"


def test_what_is_not_sampled_costs_the_exporter_nothing(traces):
    """Thousands of calls that are not sampled leave no span behind."""
    client, server = traces.client("item", METHOD), traces.server(METHOD)
    for _ in range(3000):
        header, _ = client.begin("", REQUEST)
        inbound, _ = server.begin(header, None, REQUEST)
        assert client.begin(inbound, REQUEST) == (header, None)
    assert traces.spans() == []


def test_a_trace_has_its_own_id_where_the_request_cannot_name_it(traces):
    """A request id that is no 32 hex digits gives a random trace."""
    traces.toss = 0.0
    header, inbound = traces.server(METHOD).begin(None, None, "till 7")
    assert is_sampled(header)
    assert inbound is not None
    inbound.ended("OK")
    assert len(ids(traces.spans()[0])[0].strip("0")) > 20


@pytest.mark.parametrize(("flags", "toss"), [(1, 0.9), (0, 0.0)])
def test_a_programs_own_span_decides_for_the_calls_in_it(traces, flags, toss):
    """A sampled one is continued, one that is not sampled too, whatever the dice show."""
    traces.toss = toss
    context = trace.SpanContext(int(REQUEST, 16), 7, is_remote=False, trace_flags=trace.TraceFlags(flags))
    with trace.use_span(trace.NonRecordingSpan(context)):
        header, call = traces.client("item", METHOD).begin("", "x")
    if flags:
        assert call.attempt(1).metadata[0][1].startswith(f"00-{REQUEST}-")
        call.ended("OK")
        assert ids(traces.spans()[0])[2] == f"{7:016x}"
    else:
        assert (header, call) == (f"00-{REQUEST}-{7:016x}-00", None)


def test_a_call_that_is_not_sampled_stays_so_inside_a_span_that_is(traces):
    """What was decided for the call that is served holds, whatever its handler traces by itself."""
    context = trace.SpanContext(int(REQUEST, 16), 7, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        assert traces.client("item", METHOD).begin(UNSAMPLED, "x") == (UNSAMPLED, None)


def test_spans_of_a_handler_whose_call_is_not_sampled_are_not_either():
    """Inside such a call a handler's own span begins no trace; in a job it may."""
    traces = Tracing(1.0)
    with serving(InboundCall(METHOD, deadline=1.0)), traces.own.start_as_current_span("own") as own:
        assert not own.is_recording()
    with acting_for("t1"), traces.own.start_as_current_span("own") as own:
        assert own.is_recording()
    traces.close()
