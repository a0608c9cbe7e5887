"""What is said of events at a prompt: instants, letters, and which letters are meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trunkline.cli.running import CommandError

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from trunk.event.v1 import consumer_service_pb2 as pb

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
"""Of ages, in seconds."""
BY = ("reason", "key", "time")
"""What letters are told apart by."""
REASONS = ("APPLY_FAILED", "UNDECODABLE", "UNKNOWN_TYPE", "UNKNOWN_VALUE")
"""Why an event becomes a dead letter."""
HIGHEST = (1 << 63) - 1
"""No number of an event or of a letter is greater."""
_AGE = re.compile(r"(\d+)(s|min|h|d)")


def instant(text: str, now: datetime) -> datetime:
    """An instant, as `2026-03-01T10:00:00Z` or, as an age, `90min`.

    Raises:
        CommandError: it is neither.
    """
    age = _AGE.fullmatch(text)
    try:
        if age is not None:
            return now - timedelta(seconds=int(age[1]) * UNITS[age[2]])
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise CommandError(f"{text} is no time: write 2026-03-01T10:00:00Z, or 90min, 2h, 3d for so long ago") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def bounds(from_: str, to: str) -> dict[str, datetime]:
    """The bounds of a request, as far as they are given: from_time and to_time.

    Raises:
        CommandError: one is no time, or nothing is between them.
    """
    now = datetime.now(UTC)
    found = {name: instant(text, now) for name, text in (("from_time", from_), ("to_time", to)) if text}
    if from_ and to and found["from_time"] >= found["to_time"]:
        raise CommandError(f"nothing is between {from_} and {to}: the earlier one comes first, as in 2h and 1h")
    return found


def letter_filter(by: Sequence[str], topic: str, tenant: str) -> tuple[pb.DeadLetterFilter, str]:
    """Which letters `--by` means, and by what they are only to be counted; empty: by nothing.

    Raises:
        CommandError: it makes no sense.
    """
    from trunk.event.v1 import consumer_service_pb2 as pb
    from trunk.event.v1.error_reason_pb2 import ErrorReason

    found, counted, named = pb.DeadLetterFilter(topic=topic, tenant_id=tenant), "", set[str]()
    for one in by:
        what, given, value = one.partition("=")
        if what not in BY:
            raise CommandError(f"--by {one}: letters are told apart by {', '.join(BY)}")
        if given and (not value or what in named):
            raise CommandError(f"--by {one}: " + (f"one {what} at a time" if value else f"which {what}?"))
        if not given and counted:
            raise CommandError(f"--by {counted} and --by {what}: letters are counted by one of them")
        named |= {what} if given else set()
        if not given:
            counted = what
        elif what == "key":
            found.key = value
        elif what == "reason":
            if value.upper() not in REASONS:
                raise CommandError(f"no letter has the reason {value}; there are {', '.join(REASONS)}")
            found.reason = ErrorReason.Value(f"ERROR_REASON_{value.upper()}")
        else:
            from_, _, to = value.partition("/")
            for name, time in bounds(from_, to).items():
                getattr(found, name).FromDatetime(time)
    return found, counted


def letter_name(text: str) -> tuple[str, int]:
    """Group and number of a letter, from `report/3`.

    Raises:
        CommandError: it is no such name.
    """
    group, _, number = text.rpartition("/")
    if not group or not number.isascii() or not number.isdecimal():
        raise CommandError(f"{text} is no dead letter: they are called like report/3, see `trunkline events dead list`")
    return group, _in_range(text, number)


def event_place(text: str) -> tuple[str, int]:
    """Key and number of an event, from `demo/0001/1#7`; an empty key and 0 where it is an id.

    Raises:
        CommandError: it is neither.
    """
    key, at, number = text.rpartition("#")
    if text and not at:
        return "", 0
    if not key or not number.isascii() or not number.isdecimal():
        raise CommandError(f"{text or 'an empty text'} is no event: give an id, or KEY#NUMBER such as demo/0001/1#7")
    return key, _in_range(text, number)


def _in_range(text: str, number: str) -> int:
    # Of a text that is too long Python would not make a number either.
    if len(number) > len(str(HIGHEST)) or not 1 <= int(number) <= HIGHEST:
        raise CommandError(f"there is no {text}: numbers begin at 1 and end at {HIGHEST}")
    return int(number)


def time_of(message: Message, field: str) -> str:
    """An instant in a field, in ISO 8601; empty where it is absent."""
    text: str = getattr(message, field).ToJsonString() if message.HasField(field) else ""
    return text


def to_second(text: str) -> str:
    """An instant for people."""
    return re.sub(r"\.\d+", "", text)


def reason_name(number: int) -> str:
    """A reason without its prefix; empty for none."""
    from trunk.event.v1.error_reason_pb2 import ErrorReason

    names: dict[int, str] = {value: name for name, value in ErrorReason.items()}
    return names.get(number, str(number)).removeprefix("ERROR_REASON_") if number else ""
