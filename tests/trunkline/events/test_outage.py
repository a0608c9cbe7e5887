"""A time during which something is away: what is said of it, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from typing import Any

import grpc
import pytest
from trunkline.errors import PLATFORM_DOMAIN, ServiceError
from trunkline.events.streams.link import RedisUnavailable
from trunkline.events.streams.outage import AGAIN_S, MEND, SAID, Outage, reason_of
from trunkline.testing.clock import FakeClock
from trunkline.testing.resp_faults import LOADING, OOM, READONLY

Logs = list[MutableMapping[str, Any]]
REFUSED = RedisUnavailable("Error 111 connecting to 127.0.0.1:6379.")


def outage(clock: FakeClock) -> Outage:
    """That of a loop."""
    return Outage("test", clock=clock)


def told(logs: Logs) -> list[tuple[str, str]]:
    """What was logged, and for which reason."""
    return [(line["event"], line.get("reason", "")) for line in logs]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (REFUSED, "UNREACHABLE"),
        (RedisUnavailable("Redis does not answer"), "UNREACHABLE"),
        (RedisUnavailable("TimeoutError"), "UNREACHABLE"),
        (RedisUnavailable(OOM), "OOM"),
        (RedisUnavailable(READONLY), "READONLY"),
        (RedisUnavailable("NOSUCHTHING of a server to come"), "REFUSED"),
        (RedisUnavailable("ERR unknown command"), "REFUSED"),
        (
            ServiceError(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE", "locked", domain=PLATFORM_DOMAIN),
            "STORAGE_UNAVAILABLE",
        ),
    ],
)
def test_reasons_are_few(error: Exception, expected: str):
    """They are labels of a metric: whatever a server says, they stay a dozen."""
    assert reason_of(error) == expected


def test_a_line_says_what_is_away_and_how_to_mend_it(event_logs: Logs):
    """Redis or the service's own database; every reason has a remedy, but for what ends by itself."""
    storage = ServiceError(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE", "locked", domain=PLATFORM_DOMAIN)
    for error in (RedisUnavailable(OOM), storage):
        outage(FakeClock()).failed(error)
    assert [(line["away"], line["mend"]) for line in event_logs] == [
        ("redis", "raise maxmemory of Redis, and see who is behind: trunkline events lag"),
        ("database", "look at the service's own database: its disk, its file, who holds it"),
    ]
    assert SAID - MEND.keys() == {"BUSY", "UNBLOCKED"}


def test_a_new_reason_is_told_but_not_every_second(event_logs: Logs):
    """Once when it begins; again when the reason is another one for longer than a moment; once when it is over."""
    clock = FakeClock()
    away = outage(clock)
    for error in (REFUSED, REFUSED, RedisUnavailable(LOADING)):
        away.failed(error)
        clock.advance(1.0)
    assert told(event_logs) == [("paused until it is back", "UNREACHABLE")]
    clock.advance(AGAIN_S)
    away.failed(RedisUnavailable(LOADING))
    away.failed(RedisUnavailable(OOM))
    away.failed(RedisUnavailable(LOADING))
    away.over()
    assert told(event_logs)[1:] == [("still paused, for another reason", "LOADING"), ("is back", "")]


def test_a_reason_that_stays_is_told_in_the_end(event_logs: Logs):
    """What changed too soon after a line to be told is told as soon as there may be another."""
    clock = FakeClock()
    away = outage(clock)
    away.failed(REFUSED)
    for _ in range(2 * int(AGAIN_S)):
        clock.advance(1.0)
        away.failed(RedisUnavailable(READONLY))
    assert told(event_logs) == [
        ("paused until it is back", "UNREACHABLE"),
        ("still paused, for another reason", "READONLY"),
    ]


def test_outages_are_counted_by_their_reasons():
    """Each that begins, and each that goes on for another reason; how long it has lasted is told, too."""
    clock = FakeClock()
    away = outage(clock)
    assert away.lasts_s == 0.0
    for error in (REFUSED, REFUSED, RedisUnavailable(OOM)):
        away.failed(error)
        clock.advance(10.0)
    assert away.lasts_s == 30.0
    away.over()
    assert away.lasts_s == 0.0
    away.failed(RedisUnavailable(OOM))
    assert away.begun == Counter({"UNREACHABLE": 1, "OOM": 2})
