"""Fault points: named steps at which a test has a process die, fail or stop. They do nothing outside the test profile.

`TRUNKLINE_FAULTPOINTS="relay.after_xadd=exit:137@3,consumer.after_commit=stop"`: at the third time that the first is
reached the process ends with 137, as if it had been killed; at the second it stops (SIGSTOP) until somebody lets it go
on. `error` raises there instead. Without `@n` it is the first time; a point acts once.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass

_ONE = re.compile(r"(?P<name>[a-z_]+\.[a-z_]+)=(?P<action>exit|stop|error)(?::(?P<status>\d{1,3}))?(?:@(?P<nth>\d+))?")

POINTS = frozenset(
    {
        "outbox.before_commit",  # the unit's rows are written, nothing is kept yet
        "outbox.after_commit",  # kept; nobody is told, the relay is not woken
        "relay.before_xadd",  # rows are read; nothing is sent
        "relay.after_xadd",  # sent and published; not marked
        "relay.after_mark",  # marked as sent
        "relay.before_confirm",  # the groups' positions are read
        "relay.after_confirm",  # rows are marked as confirmed
        "relay.before_trim",  # it is decided up to where
        "relay.after_trim",  # trimmed
        "consumer.after_read",  # entries are assigned to this consumer; nothing is done
        "consumer.before_effect",  # in the transaction, before the handler
        "consumer.after_effect",  # in the transaction, after the handler; nothing is kept
        "consumer.after_commit",  # effects are kept; not acknowledged
        "consumer.after_ack",  # acknowledged and confirmed
        "consumer.after_count",  # an attempt is counted; it has not begun
        "consumer.after_park",  # a failed event is parked
        "consumer.after_bury",  # a dead letter is kept
    }
)
"""All of them, and what has happened there."""


class FaultInjected(Exception):
    """What a fault point raises that is told to."""


class FaultpointsRefused(ValueError):
    """They cannot be used as they are given."""


@dataclass(slots=True)
class _Fault:
    action: str
    status: int
    nth: int
    reached: int = 0


_faults: dict[str, _Fault] = {}


def configure_faultpoints(text: str, profile: str) -> None:
    """Arms the points that a setting names; an empty one disarms all.

    Raises:
        FaultpointsRefused: the profile is not test, or the text is wrong.
    """
    if text and profile != "test":
        raise FaultpointsRefused("TRUNKLINE_FAULTPOINTS is for tests: unset it, or set TRUNKLINE_PROFILE=test")
    _faults.clear()
    _faults.update(_parsed(text))


def faultpoint(name: str) -> None:
    """Does nothing, unless it is armed.

    Raises:
        FaultInjected: it is told to.
    """
    if _faults:
        _reach(name)


def _reach(name: str) -> None:
    fault = _faults.get(name)
    if fault is None:
        return
    fault.reached += 1
    if fault.reached != fault.nth:
        return
    if fault.action == "exit":
        os._exit(fault.status)
    if fault.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    raise FaultInjected(name)


def _parsed(text: str) -> Mapping[str, _Fault]:
    faults: dict[str, _Fault] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _ONE.fullmatch(part)
        if found is None or found["name"] not in POINTS:
            raise FaultpointsRefused(f"TRUNKLINE_FAULTPOINTS: {part!r} is not a point and what it does")
        faults[found["name"]] = _Fault(found["action"], int(found["status"] or 137), int(found["nth"] or 1))
    return faults
