"""Refusals of peers that are refusals of the terminal service too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trunkline.errors import ServiceError


@contextmanager
def passed_on(domain: str, *reasons: str) -> Iterator[None]:
    """Lets these refusals of a peer go on as our own: our contract has them under the same names.

    Everything else a peer fails with goes on as it is.
    """
    try:
        yield
    except ServiceError as error:
        if error.domain == domain and error.reason in reasons:
            raise ServiceError(error.code, error.reason, error.message, error.metadata) from error
        raise
