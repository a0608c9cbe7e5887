"""The files of an open database. One that was removed or replaced goes on to take writes, which nobody would find."""

from __future__ import annotations

from pathlib import Path

import structlog

from trunkline.storage.database import unavailable

LOG_WARN_BYTES = 256 * 1024 * 1024
"""A write-ahead log that grows beyond this is told: usually it stays below 64 MiB."""
_log = structlog.get_logger("trunkline.storage")


class Files:
    """A database file and its write-ahead log, as they were when they were opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = path.with_name(f"{path.name}-wal")
        self._file = self._log = 0
        self._told = False

    def opened(self) -> None:
        """The file at the path is the one from now on."""
        self._file = self._path.stat().st_ino

    def disconnected(self) -> None:
        """No connection writes: the last one that is closed may take the log with it."""
        self._log = 0

    def begun(self) -> None:
        """A connection has begun a transaction: the log is there, and stays as long as the connection."""
        self._log = self._log or _inode(self._log_path)

    @property
    def log_bytes(self) -> int:
        """Length of the log; 0 where there is none."""
        try:
            return self._log_path.stat().st_size
        except OSError:
            return 0

    def watch_log(self) -> None:
        """Warns once while the log is long: somebody reads an old snapshot, and what is newer stays there."""
        length = self.log_bytes
        if length > LOG_WARN_BYTES and not self._told:
            _log.warning("the log of the database grows: somebody reads for long", file=str(self._path), bytes=length)
        self._told = length > LOG_WARN_BYTES

    def require(self) -> None:
        """Says nothing if what is written can be found again.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk.
        """
        if _inode(self._path) != self._file:
            raise unavailable("the database file was removed or replaced: put it back")
        if self._log and _inode(self._log_path) != self._log:
            raise unavailable("the log of the database file was removed: restart the service")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1
