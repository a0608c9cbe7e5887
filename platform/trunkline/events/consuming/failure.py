"""What is kept and logged of a failure: its kind and its place. Its text may hold data, so it is not."""

from __future__ import annotations

import traceback

from trunkline.errors import ServiceError

_NOT_OURS = ("site-packages", "dist-packages")


def describe(error: BaseException) -> str:
    """Kind and place of a failure, such as `ValueError in services.report.consumers.sales.apply, line 41`."""
    kind = type(error).__name__
    if isinstance(error, ServiceError):
        kind = f"{kind} {error.code.name} {error.domain}/{error.reason}"
    elif (cause := getattr(error, "orig", None)) is not None:
        kind = f"{kind} ({type(cause).__name__})"
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not any(mark in frame.f_code.co_filename for mark in _NOT_OURS)
    ]
    if not frames:
        return kind
    frame, line = frames[-1]
    return f"{kind} in {frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}, line {line}"
