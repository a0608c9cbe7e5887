"""The file a process's own credential stands in."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import structlog

from trunkline.auth.files import is_private
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError, platform_error

LOOK_S = 1.0
"""How long a credential once read is used before the file is looked at again, in seconds."""
_MOST_BYTES = 4096

_log = structlog.get_logger("trunkline.auth")


class CredentialFile:
    """Reads the file when asked, and once a second looks whether it was changed or taken away."""

    def __init__(self, path: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = path
        self._clock = clock
        self._look_at = 0.0
        self._seen: tuple[int, int, int] | None = None
        self._text: str | None = None
        self._complaint = ""

    def read(self) -> str | None:
        """The credential, or None where the file is missing or empty.

        Raises:
            ServiceError: UNAVAILABLE / CREDENTIAL_MISSING where others may read the file, or this process may not.
        """
        now = self._clock.monotonic()
        if self._text and now < self._look_at:
            return self._text
        self._look_at = now + LOOK_S
        try:
            self._look()
        except FileNotFoundError:
            self._forget("")
        except (OSError, ValueError) as error:
            raise self._refuse("the credential file cannot be read") from error
        return self._text

    def _look(self) -> None:
        with self._path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not is_private(status.st_mode):
                raise self._refuse("the credential file is open to others; its mode must be 0600")
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._text = file.read(_MOST_BYTES).decode("ascii").strip() or None
                self._seen, self._complaint = seen, ""

    def _refuse(self, message: str) -> ServiceError:
        self._forget(message)
        return platform_error(grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING", message)

    def _forget(self, complaint: str) -> None:
        # The path is for whoever runs the process, once; callers elsewhere only learn what is wrong.
        if complaint and complaint != self._complaint:
            _log.error(complaint, path=str(self._path))
        self._seen, self._text, self._complaint = None, None, complaint
