"""What is said of events at a prompt, and what is refused with the way to say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import timestamp_pb2
from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import error_reason_pb2 as reason_pb
from trunkline.cli.event_words import (
    HIGHEST,
    bounds,
    event_place,
    instant,
    letter_filter,
    letter_name,
    reason_name,
    time_of,
    to_second,
)
from trunkline.cli.running import CommandError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T10:00:00Z", NOW - timedelta(hours=2)),
        ("2026-03-01T11:00:00+01:00", NOW - timedelta(hours=2)),
        ("2026-03-01", NOW - timedelta(hours=12)),
        ("90s", NOW - timedelta(seconds=90)),
        ("90min", NOW - timedelta(minutes=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
    ],
)
def test_an_instant_is_a_time_or_an_age(text, expected):
    """A time without a zone is one of UTC; an age counts back from now."""
    assert instant(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2 h", "-1h", "99999999999999999d", "2026-13-01"])
def test_what_is_no_instant_is_refused(text):
    """The refusal says how to write one."""
    with pytest.raises(CommandError, match="is no time: write 2026-03-01T10:00:00Z, or 90min"):
        instant(text, NOW)


def test_bounds_that_are_not_given_are_left_out():
    """An absent bound bounds nothing."""
    assert bounds("", "") == {}
    assert list(bounds("2026-03-01", "")) == ["from_time"]
    assert bounds("", "2026-03-01") == {"to_time": datetime(2026, 3, 1, tzinfo=UTC)}


def test_bounds_that_hold_nothing_are_refused():
    """Whoever takes one for the other is told, not shown an empty list."""
    for from_, to in (("1h", "2h"), ("2026-03-02", "2026-03-01"), ("2026-03-01", "2026-03-01")):
        with pytest.raises(CommandError, match=f"nothing is between {from_} and {to}"):
            bounds(from_, to)


def test_an_event_is_called_by_its_id_or_its_place():
    """A place has a key and a number that some event could have."""
    assert event_place("0a62ceee-d041") == ("", 0)
    assert event_place("demo/0001/1#7") == ("demo/0001/1", 7)
    for text in ("", "#7", "k#", "k#x", "k#-1", "k#²"):
        with pytest.raises(CommandError, match="is no event: give an id, or KEY#NUMBER"):
            event_place(text)
    for number in ("0", str(HIGHEST + 1), "9" * 5000):
        with pytest.raises(CommandError, match="numbers begin at 1 and end at"):
            event_place(f"k#{number}")


def test_letters_are_meant_by_reason_key_and_time():
    """All that is given must hold; a time has two bounds, either of which may be missing."""
    by = ["reason=apply_failed", "key=demo/0001/1", "time=2026-03-01/2026-03-02"]
    expected = pb.DeadLetterFilter(
        topic="t", key="demo/0001/1", reason=reason_pb.ERROR_REASON_APPLY_FAILED, tenant_id="x"
    )
    expected.from_time.FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))
    expected.to_time.FromDatetime(datetime(2026, 3, 2, tzinfo=UTC))
    assert letter_filter(by, "t", "x") == (expected, "")
    until, _ = letter_filter(["time=/2026-03-02"], "", "")
    assert (until.HasField("from_time"), until.HasField("to_time")) == (False, True)


def test_without_a_value_letters_are_counted():
    """One of the three alone says by what; another one beside it says which."""
    found, counted = letter_filter(["reason", "key=k"], "", "")
    assert (found, counted) == (pb.DeadLetterFilter(key="k"), "reason")


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ("colour", "letters are told apart by reason, key, time"),
        ("reason=BAD_MOOD", "no letter has the reason BAD_MOOD; there are APPLY_FAILED, UNDECODABLE, "),
        ("time=soon/", "soon is no time"),
    ],
)
def test_what_means_no_letters_is_refused(by, says):
    """The refusal names what there is."""
    with pytest.raises(CommandError, match=says):
        letter_filter([by], "", "")


def test_what_would_be_overlooked_is_refused():
    """Of two keys, or of two ways to count, none is left out in silence; a value that is missing is asked for."""
    with pytest.raises(CommandError, match="one key at a time"):
        letter_filter(["key=a", "key=b"], "", "")
    with pytest.raises(CommandError, match="letters are counted by one of them"):
        letter_filter(["reason", "key"], "", "")
    with pytest.raises(CommandError, match=r"which key\?"):
        letter_filter(["key="], "", "")


def test_a_letter_is_called_by_its_group_and_number():
    """Numbers are a group's own."""
    assert letter_name("report/3") == ("report", 3)
    for text in ("3", "/3", "report/", "report/x", "report/³"):
        with pytest.raises(CommandError, match="are called like report/3"):
            letter_name(text)
    for text in ("report/0", f"report/{HIGHEST + 1}"):
        with pytest.raises(CommandError, match="numbers begin at 1 and end at"):
            letter_name(text)


def test_what_is_told_of_times_and_reasons():
    """An absent time and no reason are empty; a reason of a later release is its number."""
    letter = pb.DeadLetter(last_time=timestamp_pb2.Timestamp(seconds=1, nanos=500_000_000))
    assert (time_of(letter, "last_time"), time_of(letter, "closed_time")) == ("1970-01-01T00:00:01.500Z", "")
    assert to_second(time_of(letter, "last_time")) == "1970-01-01T00:00:01Z"
    assert [reason_name(number) for number in (0, 2, 999)] == ["", "UNKNOWN_TYPE", "999"]
