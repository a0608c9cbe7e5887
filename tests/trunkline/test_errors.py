"""The one exception, and its form on the wire."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from trunkline import errors, headers
from trunkline.errors import ServiceError, Violation, from_call, to_status, trailers_of

CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
TEXT = st.text(max_size=30)


def crossed(error: ServiceError) -> ServiceError:
    """What arrives when error is sent."""
    return from_call(error.code, errors.bounded(error.message), trailers_of(error))


@given(
    code=st.sampled_from(CODES),
    reason=st.from_regex(r"[A-Z][A-Z_]{0,20}", fullmatch=True),
    message=TEXT,
    metadata=st.dictionaries(st.text(min_size=1, max_size=10), TEXT, max_size=4),
    violations=st.lists(st.builds(Violation, TEXT, TEXT), max_size=4),
    retry_after_ms=st.none() | st.integers(0, 1_000_000),
    exhausted=st.booleans(),
)
def test_everything_crosses_the_wire(code, reason, message, metadata, violations, retry_after_ms, exhausted):
    """Code, reason, domain, text, metadata, violations, push-back and exhaustion come out as they went in."""
    error = ServiceError(
        code,
        reason,
        message,
        metadata,
        domain="pos.item",
        violations=violations,
        retry_after_s=None if retry_after_ms is None else retry_after_ms / 1000,
        exhausted=exhausted,
    )
    arrived = crossed(error)
    assert (arrived.code, arrived.reason, arrived.domain, arrived.message) == (code, reason, "pos.item", message)
    assert dict(arrived.metadata) == metadata
    assert list(arrived.violations) == violations
    assert arrived.retry_after_s == error.retry_after_s
    assert arrived.exhausted is exhausted


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (errors.invalid_argument, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.failed_precondition, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.not_found, grpc.StatusCode.NOT_FOUND),
        (errors.already_exists, grpc.StatusCode.ALREADY_EXISTS),
        (errors.permission_denied, grpc.StatusCode.PERMISSION_DENIED),
        (errors.unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
        (errors.unavailable, grpc.StatusCode.UNAVAILABLE),
        (errors.aborted, grpc.StatusCode.ABORTED),
        (errors.resource_exhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_shortcuts(make, code):
    """A shortcut names the code, takes the reason and puts the dynamic parts into the metadata."""
    error = make("ITEM_UNKNOWN", "no such item", item_code="A-1", message="kept")
    assert (error.code, error.reason, error.domain) == (code, "ITEM_UNKNOWN", "")
    assert error.metadata == {"item_code": "A-1", "message": "kept"}


def test_text_says_code_domain_and_reason():
    """What is logged or printed begins with what callers branch on."""
    assert str(errors.not_found("ITEM_UNKNOWN", "no such item")) == "NOT_FOUND ITEM_UNKNOWN: no such item"
    platform = errors.platform_error(grpc.StatusCode.UNAVAILABLE, "BREAKER_OPEN", "not called")
    assert str(platform) == "UNAVAILABLE trunk/BREAKER_OPEN: not called"


def test_exactly_one_error_info():
    """The status has one ErrorInfo; BadRequest and RetryInfo only where there is something to say."""
    plain = to_status(errors.not_found("ITEM_UNKNOWN", "no such item"))
    assert [detail.type_url.rpartition(".")[2] for detail in plain.details] == ["ErrorInfo"]
    full = to_status(ServiceError(CODES[0], "R", "m", violations=[Violation("a", "b")], retry_after_s=1.5))
    assert sorted(detail.type_url.rpartition(".")[2] for detail in full.details) == [
        "BadRequest",
        "ErrorInfo",
        "RetryInfo",
    ]


@pytest.mark.parametrize(
    ("retry_after_s", "sent"), [(None, None), (0.7, "700"), (0.0, "0"), (-1.0, "-1000"), (2.0, "2000")]
)
def test_push_back_goes_out_in_milliseconds(retry_after_s, sent):
    """The push-back trailer of gRFC A6; a negative one says never."""
    error = ServiceError(CODES[0], "R", "m", retry_after_s=retry_after_s)
    assert dict(trailers_of(error)).get(headers.PUSHBACK_MS) == sent


@pytest.mark.parametrize(
    ("value", "retry_after_s"),
    [
        ("700", 0.7),
        ("0", 0.0),
        ("-1", -1.0),
        ("abc", -1.0),
        ("", -1.0),
        ("1.5", -1.0),
        ("99999999999", -1.0),
        ("٣", -1.0),
    ],
)
def test_push_back_that_cannot_be_read_means_never(value, retry_after_s):
    """Only a plain number of milliseconds asks for another attempt."""
    error = from_call(grpc.StatusCode.UNAVAILABLE, "", [(headers.PUSHBACK_MS, value)])
    assert error.retry_after_s == retry_after_s


def test_a_peer_that_sends_no_details():
    """Code and text are all there is; the reason is empty."""
    error = from_call(grpc.StatusCode.NOT_FOUND, "gone", None)
    assert (error.code, error.reason, error.domain, error.message) == (grpc.StatusCode.NOT_FOUND, "", "", "gone")
    assert from_call(grpc.StatusCode.NOT_FOUND, None, ()).message == ""


@pytest.mark.parametrize("junk", [b"\xff\xff\xff", b"\x08", b"\x1a\x02\x12\xff"])
def test_details_that_cannot_be_read_leave_code_and_text(junk):
    """Bytes that are no status do not hide the failure behind another."""
    error = from_call(grpc.StatusCode.ABORTED, "text", [(headers.STATUS_DETAILS, junk)])
    assert (error.code, error.message) == (grpc.StatusCode.ABORTED, "text")


def test_an_unreadable_detail_leaves_the_rest():
    """A broken detail inside a good status is skipped over."""
    status = status_pb2.Status(code=0, message="told")
    status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    error = from_call(grpc.StatusCode.ABORTED, "", [(headers.STATUS_DETAILS, status.SerializeToString())])
    assert (error.code, error.message, error.reason) == (grpc.StatusCode.ABORTED, "told", "")


def test_the_code_is_that_of_the_call():
    """A status that claims another code, such as OK, does not make a failure of the call a success."""
    status = status_pb2.Status(code=0, message="fine")
    error = from_call(grpc.StatusCode.INTERNAL, "", [(headers.STATUS_DETAILS, status.SerializeToString())])
    assert error.code is grpc.StatusCode.INTERNAL


def test_long_texts_are_cut_at_a_character():
    """Trailers over 8 KB may be refused by a client's gRPC: message, values and descriptions are bounded."""
    error = ServiceError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "REQUEST_INVALID",
        "ä" * 5000,
        {"value": "€" * 5000},
        violations=[Violation(f"lines[{number}]", "too long " * 100) for number in range(500)],
    )
    status = to_status(error)
    assert status.ByteSize() <= errors.STATUS_LIMIT_BYTES + errors.TEXT_LIMIT_BYTES
    arrived = crossed(error)
    assert set(arrived.message) == {"ä"}
    assert set(arrived.metadata["value"]) == {"€"}
    assert [one.field for one in arrived.violations[:2]] == ["lines[0]", "lines[1]"]


def test_the_first_violation_is_always_told():
    """However much there is to tell, the first metadata and the first violation go out, in less than 8 KB."""
    metadata = {f"name-{number}": "x" * 500 for number in range(100)}
    violations = [Violation("a", "b"), *(Violation("c", "d" * 500) for _ in range(50))]
    error = crossed(ServiceError(CODES[0], "R", "m", metadata, violations=violations))
    assert error.violations[0] == Violation("a", "b")
    assert 1 < len(error.violations) < len(violations)
    assert error.metadata["name-0"] == "x" * 500
    assert 1 < len(error.metadata) < len(metadata)


def test_half_a_character_is_replaced():
    """A lone surrogate cannot be encoded: it must not keep the failure from being sent."""
    assert errors.bounded("a\ud800b") == "a?b"


def test_retry_info_counts_where_no_push_back_is_sent():
    """A peer that knows RetryInfo only is understood too."""
    status = status_pb2.Status(code=8)
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay={"seconds": 1, "nanos": 500_000_000}))
    error = from_call(CODES[0], "", [(headers.STATUS_DETAILS, status.SerializeToString())])
    assert error.retry_after_s == 1.5
