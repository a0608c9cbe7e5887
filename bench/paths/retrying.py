"""Retries as a team without our chain would have them: tenacity, with our numbers."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential


def retrying(is_transient: Callable[[BaseException], bool]) -> AsyncRetrying:
    """Three attempts with full jitter, 50 ms doubling up to 1 s, as our default policy."""
    return AsyncRetrying(
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.05, max=1.0),
        retry=retry_if_exception(is_transient),
        reraise=True,
    )
