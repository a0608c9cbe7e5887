"""W3C Trace Context: what is taken for a trace, and what is handed on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trunkline.call import new_request_id
from trunkline.telemetry.trace_context import TRACE_ID, is_sampled, read, trace_id_of, unsampled

from tests.trunkline.telemetry.tracing import REQUEST, SAMPLED, SPAN, UNSAMPLED

FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize("header", [SAMPLED, UNSAMPLED, f"00-{REQUEST}-{SPAN}-03", f"00-{REQUEST}-{SPAN}-ff"])
def test_a_good_header_is_handed_on_as_it_came(header):
    """Flags that this version does not know stay."""
    assert read(header) == header


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (f"01-{REQUEST}-{SPAN}-01", SAMPLED),
        (f"cc-{REQUEST}-{SPAN}-08", UNSAMPLED),
        (f"cc-{REQUEST}-{SPAN}-09-what-comes-later", SAMPLED),
    ],
)
def test_of_a_later_version_what_is_known_is_taken(header, taken):
    """It is handed on as version 00, with the one flag that it has in common."""
    assert read(header) == taken


@pytest.mark.parametrize(
    "header",
    [
        None, b"", 7, "", "00", "junk", SAMPLED.upper(), f"{SAMPLED} ", f" {SAMPLED}", f"{SAMPLED}-more",
        f"{SAMPLED}\n",
        f"ff-{REQUEST}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{REQUEST}-{'0' * 16}-01",
        f"01-{'0' * 32}-{SPAN}-01",
        f"00-{REQUEST}-{SPAN}-1",
        f"00-{REQUEST}-{SPAN}-0x", f"00-{REQUEST[1:]}-{SPAN}-01", f"01-{REQUEST}-{SPAN}-01x",
        SAMPLED.encode(), SAMPLED.replace("4", "\uff14"),
    ],
)  # fmt: skip
def test_nonsense_is_as_if_nothing_had_come(header):
    """Upper case, blanks, noughts, wrong lengths, bytes: no trace."""
    assert read(header) == ""


@settings(deadline=None)
@given(header=st.text(max_size=80) | st.from_regex(FORM, fullmatch=True))
def test_whatever_comes_is_handed_on_well_formed_or_not_at_all(header):
    """What read gives is empty or a header of version 00, and reading it again changes nothing."""
    taken = read(header)
    assert taken == "" or FORM.fullmatch(taken)
    assert read(taken) == taken


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("fe", False)]
)
def test_only_the_lowest_flag_says_sampled(flags, sampled):
    """Other flags say other things; of no header nothing is sampled."""
    assert is_sampled(f"00-{REQUEST}-{SPAN}-{flags}") is sampled
    assert not is_sampled("")


def test_an_unsampled_trace_is_named_by_the_request():
    """A request id of 32 hex digits finds the trace, and the other way round."""
    header = unsampled(REQUEST)
    assert header == f"00-{REQUEST}-{REQUEST[16:]}-00"
    assert trace_id_of(REQUEST) == int(REQUEST, 16)
    for _ in range(100):
        request_id = new_request_id()
        assert read(unsampled(request_id)).split("-")[1] == request_id


@settings(deadline=None)
@given(request_id=st.text(max_size=40) | st.sampled_from(["", "0" * 32, "1" + "0" * 31, REQUEST.upper(), "g" * 32]))
def test_any_request_id_gives_a_good_header(request_id):
    """Where the id cannot name a trace a new one is made up."""
    header = unsampled(request_id)
    assert read(header) == header
    assert not is_sampled(header)
    assert (header.split("-")[1] == request_id) is (trace_id_of(request_id) is not None)


def test_a_received_header_names_its_trace():
    """Whether sampled or not; nonsense names none."""
    assert read(SAMPLED)[TRACE_ID] == read(UNSAMPLED)[TRACE_ID] == REQUEST
    assert read(None)[TRACE_ID] == read("junk")[TRACE_ID] == read(b"junk")[TRACE_ID] == ""
