"""Page tokens (AIP-158): opaque, and bound to the arguments they were made for."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.errors import invalid_argument

from services.wire.domains import SHARED

DEFAULT_PAGE_SIZE = 50
"""Rows of a page whose size is not given."""

Key = Sequence[str | int]
"""Where a page ended: the sort key of its last row."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, as it was asked for."""

    size: int
    """Most rows to give."""
    after: tuple[str | int, ...] | None
    """Sort key of the last row of the previous page; None for the first."""
    binding: str
    """What the token is bound to."""

    def next_token(self, last: Key, *, more: bool) -> str:
        """Token of the page after the one that ended with last; empty if there is none."""
        if not more:
            return ""
        return base64.urlsafe_b64encode(json.dumps([self.binding, *last]).encode()).decode()


def page_of(page_size: int, page_token: str, *arguments: object, key: Sequence[type] = (str,)) -> Page:
    """The page a request asks for.

    Args:
        page_size: rows wanted; 0 leaves it to us.
        page_token: as the caller sends it.
        arguments: the method's other arguments, tenant included; a token holds for them only.
        key: types of the parts of the sort key.

    Raises:
        ServiceError: INVALID_ARGUMENT / PAGE_TOKEN_INVALID for a token made for something else.
    """
    binding = hashlib.sha256(repr(arguments).encode()).hexdigest()[:16]
    size = page_size or DEFAULT_PAGE_SIZE
    if not page_token:
        return Page(size, None, binding)
    try:
        bound, *after = json.loads(base64.urlsafe_b64decode(page_token.encode()))
    except (ValueError, TypeError, RecursionError):
        bound, after = None, []
    if bound != binding or [type(part) for part in after] != list(key) or any(map(_too_large, after)):
        error = invalid_argument("PAGE_TOKEN_INVALID", "the page token was not made for this list")
        error.domain = SHARED
        raise error
    return Page(size, tuple(after), binding)


def _too_large(part: object) -> bool:
    # Databases keep 64 bits.
    return isinstance(part, int) and abs(part) >= 2**63
