"""W3C Trace Context: what is read of `traceparent`, and what is written into it. Pure, no OpenTelemetry."""

from __future__ import annotations

import random
import re

TRACE_ID = slice(3, 35)
"""Where the trace's id stands in a `traceparent` that was read."""
_CURRENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_LATER = re.compile(r"(?!ff)[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-)[0-9a-f]([0-9a-f])(?:-.*)?")
_REQUEST_ID = re.compile(r"[0-9a-f]{16}(?!0{16})[0-9a-f]{16}").fullmatch
"""Whether it is a request id whose second half can stand for a span."""
_SAMPLED_DIGITS = frozenset("13579bdf")
"""Last digits of a `traceparent` that have the lowest bit."""


def read(traceparent: object) -> str:
    """A received `traceparent` as it may be handed on; empty if it is none (then it is as if none had come)."""
    if not traceparent or not isinstance(traceparent, str):
        return ""
    if _CURRENT(traceparent):
        return traceparent
    later = None if traceparent.startswith("00") else _LATER.fullmatch(traceparent)
    # Of later versions only what this one knows is handed on.
    return f"00{later[1]}0{'1' if later[2] in _SAMPLED_DIGITS else '0'}" if later else ""


def is_sampled(traceparent: str) -> bool:
    """Whether a `traceparent` that was read says that its trace is recorded."""
    return traceparent[-1:] in _SAMPLED_DIGITS


def unsampled(request_id: str) -> str:
    """A new `traceparent` that says: not recorded, and nobody need decide again.

    Its trace is the request id where that is 32 hex digits.
    """
    if _REQUEST_ID(request_id):
        return f"00-{request_id}-{request_id[16:]}-00"
    ids = f"{random.getrandbits(192):048x}"
    return f"00-{ids[:32]}-{ids[32:]}-00"


def trace_id_of(request_id: str) -> int | None:
    """The request id as the id of a trace; None where it cannot be one."""
    return int(request_id, 16) if _REQUEST_ID(request_id) else None
