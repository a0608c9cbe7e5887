"""What goes wrong with Redis, in two kinds: try again later, or make the groups again first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import RedisError, ResponseError


class RedisUnavailable(Exception):
    """Redis cannot be reached, or refuses: try again later."""


class GroupMissing(RedisUnavailable):
    """A stream, or its group, is gone: Redis has lost data."""


@contextmanager
def mapped() -> Iterator[None]:
    """Raises what Redis does, and what its client does, as RedisUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise translated(error) from error


def translated(error: Exception) -> RedisUnavailable:
    """A failure of Redis as its callers shall see it."""
    text = str(error)
    # The client takes the word off that its kind of error stands for; to whoever reads a log it is the best of it.
    code = getattr(error, "status_code", None)
    if code and code != "ERR" and not text.startswith(code):
        text = f"{code} {text}"
    # UNBLOCKED: the stream went away under a read that waited.
    gone = isinstance(error, ResponseError) and text.startswith(("NOGROUP", "UNBLOCKED"))
    return GroupMissing(text) if gone else RedisUnavailable(text or type(error).__name__)


def require(answers: list[Any]) -> list[Any]:
    """The answers of a pipeline, none of which may be a refusal.

    Raises:
        RedisUnavailable: one is.
    """
    for answer in answers:
        if isinstance(answer, Exception):
            raise translated(answer) from answer
    return answers
