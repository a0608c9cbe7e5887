"""The keys that sign tokens now: the files of a folder, looked at again while the service runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog
from trunkline.auth.key_files import (
    LISTED_FIRST_S,
    KeyFileRefused,
    SigningKey,
    key_paths,
    make_key,
    read_keys,
    signing_key,
)
from trunkline.auth.tokens import TokenSigner
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.storage import DatabaseRefused

LOOK_S = 1.0
"""Least time between two looks into the folder, in seconds."""
_log = structlog.get_logger("account.signing_keys")


class SigningKeys:
    """All keys of the folder, newest first.

    To rotate, add a key file (`trunkline keys rotate`): it is listed at once and signs after two minutes. When the
    last token of the old one has expired, its file may go (`trunkline keys prune`). Nothing is restarted. While a
    file of the folder is no key, or none is left, the keys stay as they were.
    """

    def __init__(
        self, directory: Path, issuer: str, clock: Clock = SYSTEM_CLOCK, *, listed_first_s: float = LISTED_FIRST_S
    ) -> None:
        """Reads the keys, and makes the first one where there is none.

        Raises:
            DatabaseRefused: a key file is open to others, or holds no key.
        """
        self._directory = directory
        self._issuer = issuer
        self._clock = clock
        self._listed_first_s = listed_first_s
        self._complaint = ""
        try:
            self._seen = self._print()
            self._keys = read_keys(directory)
            if not self._keys:
                self._keys = [make_key(directory, clock.now())]
                self._seen = self._print()
        except (KeyFileRefused, OSError) as error:
            raise DatabaseRefused(str(error)) from error
        self._look_at = clock.monotonic() + LOOK_S

    async def listed(self) -> Sequence[SigningKey]:
        """The keys whose tokens are valid, newest first."""
        self._look()
        return self._keys

    def signer(self) -> TokenSigner:
        """Signs with the newest key that everybody knows by now."""
        self._look()
        key = signing_key(self._keys, self._clock.now(), self._listed_first_s)
        return TokenSigner(key.key_id, key.private_key, self._issuer, self._clock)

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        try:
            seen = self._print()
            if seen == self._seen:
                return
            self._take(read_keys(self._directory))
        except (KeyFileRefused, OSError) as error:
            # Not remembered as seen: it is looked at again until it is put right.
            if str(error) != self._complaint:
                _log.error("signing keys stay as they were", error=str(error))
            self._complaint = str(error)
        else:
            self._seen, self._complaint = seen, ""

    def _take(self, found: Sequence[SigningKey]) -> None:
        if not found:
            raise KeyFileRefused(f"{self._directory} holds no key any more")
        had, now = {key.key_id: key for key in self._keys}, self._clock.now().replace(microsecond=0)
        # A file may have come long after its key was made: nobody knew it before.
        self._keys = [had.get(key.key_id) or replace(key, create_time=max(key.create_time, now)) for key in found]
        ids = [key.key_id for key in self._keys]
        _log.info("signing keys changed", listed=ids, gone=sorted(had.keys() - set(ids)))

    def _print(self) -> dict[str, tuple[int, int, int, int]]:
        """What tells that a file was changed: time, number, size and mode, by name."""
        found = {}
        for path in key_paths(self._directory):
            status = path.stat()
            found[path.name] = (status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode)
        return found
