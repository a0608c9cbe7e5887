"""Page tokens of the services about events (AIP-158): opaque, and bound to the arguments they were made for."""

from __future__ import annotations

import base64
import hashlib
import json

from trunkline.errors import invalid_argument

_LARGEST = 2**63 - 1


def page_token(place: tuple[str | int, ...], *arguments: object) -> str:
    """The token of the page that begins after a place.

    Args:
        place: what the next page is found by.
        arguments: the method's other arguments; the token holds for them only.
    """
    return base64.urlsafe_b64encode(json.dumps([_binding(arguments), *place]).encode()).decode()


def place_of(token: str, shape: tuple[type, ...], *arguments: object) -> tuple[str | int, ...]:
    """The place that a token was made for.

    Args:
        token: as the caller sends it.
        shape: types of the parts of the place.
        arguments: the method's other arguments.

    Raises:
        ServiceError: INVALID_ARGUMENT / PAGE_TOKEN_INVALID for one that was made for something else.
    """
    try:
        bound, *place = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, RecursionError):
        bound, place = None, []
    # Databases keep 64 bits.
    small = all(not isinstance(part, int) or abs(part) <= _LARGEST for part in place)
    if bound != _binding(arguments) or tuple(map(type, place)) != shape or not small:
        raise invalid_argument("PAGE_TOKEN_INVALID", "the page token was not made for this list")
    return tuple(place)


def _binding(arguments: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(arguments).encode()).hexdigest()[:16]
