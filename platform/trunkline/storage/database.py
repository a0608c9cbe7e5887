"""A service's database: what units of work, relays and consumers may count on, whichever kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import grpc
import sqlalchemy as sa

from trunkline.errors import ServiceError, platform_error
from trunkline.storage.work import WriterCounts

T = TypeVar("T")

QUEUE_LIMIT = 1024
"""Writes, and reads, that may wait; more are refused with a push-back."""
PUSH_BACK_S = 0.2
"""Seconds after which a refused caller may try again."""


class Database(ABC):
    """One database, shared with other processes of its service, and used from one event loop; opened once."""

    @property
    @abstractmethod
    def counts(self) -> WriterCounts:
        """What was written since it started."""

    @property
    def log_bytes(self) -> int:
        """Length of a write-ahead log that is kept beside the database; 0 where a server keeps it."""
        return 0

    @abstractmethod
    async def open(self) -> None:
        """Checks that its tables are the right ones, and starts.

        Raises:
            DatabaseRefused: a migration runs, `trunkline migrate` has to run first, or it cannot be used at all.
        """

    @abstractmethod
    async def close(self) -> None:
        """Does what is waiting, and refuses what comes later."""

    @abstractmethod
    async def write(self, work: Callable[[sa.Connection], T], *, committed: Callable[[T], object] | None = None) -> T:
        """Runs work in a transaction, as if no other ran beside it, and answers after its commit.

        Work runs in a thread, in the caller's context. It must be repeatable: where a transaction is lost, or others
        keep it from passing, it is run again. A caller that is cancelled while work has not started leaves no effect.

        Args:
            work: What to do. An exception it raises undoes its own unit only.
            committed: Told the result on the event loop, after the commit, even if the caller was cancelled.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk; nothing was kept. Only where a server was lost while it
                committed nobody knows: a repeat under the call's key finds out.
        """

    @abstractmethod
    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """Runs query on one snapshot of what is committed; rows are fetched inside it, writes are refused.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk.
        """

    @abstractmethod
    async def check(self) -> None:
        """Says nothing if the database answers.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk.
        """


def admit(waiting: int, *, is_open: bool) -> None:
    """Lets a write or a read in.

    Raises:
        ServiceError: the database is closed, or so many wait already.
    """
    if not is_open:
        raise unavailable("the database is closed")
    if waiting >= QUEUE_LIMIT:
        raise platform_error(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "STORAGE_UNAVAILABLE",
            "too much waits for the database",
            retry_after_s=PUSH_BACK_S,
        )


def unavailable(message: str) -> ServiceError:
    """What callers are told while the database cannot work."""
    return platform_error(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE", message)
