"""Who uses a database file: processes of its service, together; or one that changes its tables, alone."""

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
    """The lock `<file>.lock` beside a database file, or beside anything that one process or several may use.

    The kernel gives it back when the process ends, however it ends; so the file itself stays. It holds the ids of those
    who took the lock, for whoever is refused.
    """

    def __init__(self, file: Path, *, shared: bool = False) -> None:
        """Describes the lock; shared: others that share it are no hindrance."""
        self._file = file
        self._path = file.with_name(f"{file.name}.lock")
        self._shared = shared
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
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if _take(handle, fcntl.LOCK_EX):
                os.truncate(handle, 0)  # nobody else is there: what it names are the dead
            elif not self._shared:
                os.close(handle)
                return False
            if self._shared and not _take(handle, fcntl.LOCK_SH):
                os.close(handle)
                return False
            os.write(handle, f"{os.getpid()}\n".encode())
        except OSError:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        """Gives the lock back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def refusal(self) -> DatabaseRefused:
        """What the one who came second is told."""
        named = dict.fromkeys(self._path.read_text(encoding="ascii").split())
        owners = [pid for pid in named if Path(f"/proc/{pid}").exists()] or list(named)
        return DatabaseRefused(
            f"{self._file} is in use by process {', '.join(owners) or 'unknown'}: stop {_those(owners)} first"
        )


def _those(owners: list[str]) -> str:
    return "those" if len(owners) > 1 else "that one"


def _take(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
