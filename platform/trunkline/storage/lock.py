"""One process owns a database file: the others are refused before they touch it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.storage.errors import DatabaseRefused

RETRY_S = 0.05
"""Seconds between two looks at a lock that somebody else holds."""


class FileLock:
    """The lock `<file>.lock` beside a database file.

    The kernel gives it back when the process ends, however it ends; so the file itself stays and means nothing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path = file.with_name(f"{file.name}.lock")
        self._handle: int | None = None

    async def acquire(self, wait_s: float = 0.0, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Takes the lock, waiting for a predecessor that is about to end.

        Raises:
            DatabaseRefused: another process holds it, and held it for wait_s.
        """
        end = clock.monotonic() + wait_s
        while not self.take():
            if clock.monotonic() >= end:
                raise self.refusal()
            await asyncio.sleep(RETRY_S)

    def take(self) -> bool:
        """Takes the lock if it is free, and says whether."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError:
            os.close(handle)
            raise
        self._handle = handle
        os.truncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        return True

    def release(self) -> None:
        """Gives the lock back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def refusal(self) -> DatabaseRefused:
        """What the one who came second is told."""
        owner = self._path.read_text(encoding="ascii").strip() or "unknown"
        return DatabaseRefused(f"{self._file} is in use by process {owner}: stop that one first")
