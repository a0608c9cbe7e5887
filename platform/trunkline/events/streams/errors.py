"""What goes wrong with Redis, in two kinds: try again later, or make the groups again first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def translated(error: Exception, key: str = "") -> RedisUnavailable:
    """A failure of Redis as its callers shall see it; key: what the command was about, where that is one."""
    text = str(error)
    # The client takes the word off that its kind of error stands for; to whoever reads a log it is the best of it.
    code = getattr(error, "status_code", None)
    if code and code != "ERR" and not text.startswith(code):
        text = f"{code} {text}"
    if key and isinstance(error, ResponseError) and key not in text:
        text = f"{text} ({key})"
    # UNBLOCKED: the stream went away under a read that waited.
    gone = isinstance(error, ResponseError) and text.startswith(("NOGROUP", "UNBLOCKED"))
    return GroupMissing(text) if gone else RedisUnavailable(text or type(error).__name__)


def require(answers: list[Any], keys: Sequence[str] = ()) -> list[Any]:
    """The answers of a pipeline, none of which may be a refusal; keys: what each command was about.

    Raises:
        RedisUnavailable: one is.
    """
    for at, answer in enumerate(answers):
        if isinstance(answer, Exception):
            raise translated(answer, keys[at] if keys else "") from answer
    return answers
