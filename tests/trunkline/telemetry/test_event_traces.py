"""Spans of events: what stands under what, what is linked, and what is never sent."""

from __future__ import annotations

from opentelemetry.trace import SpanKind, StatusCode

from tests.trunkline.telemetry.test_spans import served, told
from tests.trunkline.telemetry.tracing import METHOD, REQUEST, SAMPLED, SPAN, UNSAMPLED, ids

TRANLOG = {"messaging.system": "trunkline", "messaging.destination.name": "tranlog", "trunk.tenant": "t1"}


def test_a_publication_stands_under_its_call(traces):
    """The call's header is its parent; its own header is what the effect stands under, and the call is linked."""
    header, publication = traces.producer("tranlog").begin(SAMPLED, "e-1")
    publication.committed("t1")
    _, effect = traces.consumer("tranlog").begin(header, "e-1", SAMPLED)
    effect.ended(tenant_id="t1")
    published, applied = traces.spans()
    assert (published.name, published.kind) == ("publish tranlog", SpanKind.PRODUCER)
    assert (ids(published)[0], ids(published)[2]) == (REQUEST, SPAN)
    assert told(published) == TRANLOG | {"messaging.operation.type": "send", "messaging.message.id": "e-1"}
    assert ids(applied)[2] == ids(published)[1] == header.split("-")[2]
    assert [(link.context.trace_id, link.context.span_id) for link in applied.links] == [
        (int(REQUEST, 16), int(SPAN, 16))
    ]


def test_a_publication_inside_a_handlers_own_span_stands_under_that(traces):
    """What is nearest is the parent."""
    header, inbound = traces.server(METHOD).begin(SAMPLED, None, REQUEST)
    with traces.own.start_as_current_span("own"):
        traces.producer("tranlog").begin(header, "e-1")[1].committed("t1")
    inbound.ended("OK")
    _, own, published = (ids(span) for span in traces.spans())
    assert published[2] == own[1]


def test_a_publication_that_is_not_committed_leaves_nothing(traces):
    """Its transaction was undone: there is no event to tell about."""
    _, publication = traces.producer("tranlog").begin(SAMPLED, "e-1")
    assert publication is not None
    assert traces.spans() == []


def test_an_event_that_is_not_sampled_makes_no_span(traces):
    """Its header is handed on as it came, and nothing begins a trace; dice are not even thrown."""
    traces.toss = 0.0
    for header in ("", UNSAMPLED):
        assert traces.producer("tranlog").begin(header, "e-1") == (header, None)
        assert traces.consumer("tranlog").begin(header, "e-1", header) == (header, None)
    assert traces.spans() == []


def test_what_an_effect_causes_stands_under_it(traces):
    """Calls and events that follow from an event stand under its effect."""
    header, effect = traces.consumer("tranlog").begin(SAMPLED, "e-1")
    _, call = traces.client("stock", METHOD).begin(header, REQUEST)
    call.ended("OK")
    traces.producer("reportlog").begin(header, "e-2")[1].committed("t1")
    effect.ended(tenant_id="t1")
    applied, client, published = traces.spans()
    assert (applied.name, applied.kind) == ("process tranlog", SpanKind.CONSUMER)
    assert told(applied) == TRANLOG | {"messaging.operation.type": "process", "messaging.message.id": "e-1"}
    assert (ids(applied)[0], ids(applied)[2]) == (REQUEST, SPAN)
    assert ids(client)[2] == ids(published)[2] == ids(applied)[1] == header.split("-")[2]
    assert list(applied.links) == []


def test_an_effect_lasts_as_long_as_its_handler(traces):
    """It ends with the commit of its batch, and tells when its handler was done."""
    _, effect = traces.consumer("tranlog").begin(SAMPLED, "e-1")
    effect.applied()
    later = served(traces)
    later.ended("OK")
    effect.ended()
    applied, call = traces.spans()
    assert applied.end_time <= call.start_time
    assert ids(call)[2] == SPAN  # the effect was no longer the current span


def test_an_effect_that_fails_says_so(traces):
    """Its span has the reason."""
    _, effect = traces.consumer("tranlog").begin(SAMPLED, "e-1")
    effect.ended("APPLY_FAILED")
    effect.ended()
    (failed,) = traces.spans()
    assert (failed.status.status_code, told(failed)["trunk.reason"]) == (StatusCode.ERROR, "APPLY_FAILED")
