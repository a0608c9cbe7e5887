"""Files that only this user may read: secrets, and what must not be forged."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

PRIVATE_MODE = 0o600
"""Most that anybody may do with such a file: its owner reads and writes it."""


def is_private(mode: int) -> bool:
    """Says whether a file of this mode (`st_mode`) is closed to everybody but its owner."""
    return stat.S_IMODE(mode) & ~PRIVATE_MODE == 0


def write_private(path: Path, content: bytes) -> None:
    """Writes a file of mode 0600 in one step: after a crash it is the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    _keep_name(path.parent)


def _keep_name(directory: Path) -> None:
    # A rename is durable once the directory itself is on disk.
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
