"""Stores, and the time zones that their trading days follow."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.business_date import time_zone_of
from services.kernel.failure import AlreadyExists, NotFound


@dataclass(frozen=True, slots=True)
class Store:
    """A store of a tenant. One whose time zone is not known cannot be built."""

    store_code: str
    """Code in the tenant."""
    name: str
    """For people."""
    time_zone: str
    """IANA time zone that its business dates follow."""

    def __post_init__(self) -> None:
        time_zone_of(self.time_zone)


def store_missing(store_code: str) -> NotFound:
    """There is no such store."""
    return NotFound("STORE_NOT_FOUND", "there is no such store", store_code=store_code)


def store_taken(store_code: str) -> AlreadyExists:
    """There is a store of this code."""
    return AlreadyExists("STORE_EXISTS", "the code is taken", store_code=store_code)
