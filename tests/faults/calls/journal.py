"""What a server says of itself, a line at a time, in a file that outlives it: the other side's own counters."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

BEGAN, ENDED = "began", ("ended", "failed", "cancelled")
"""What is noted of each handler: that it began, and one of three ways in which it ended."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    what: str
    """`arrived`: an attempt reached the chain; `began`, `ended`, `failed`, `cancelled`: its handler; or others."""
    key: str
    """The call, as its caller names it."""
    at: float
    """Instant of time.monotonic, which all processes of a machine share."""
    method: str
    """Name of the rpc."""
    left_ms: int
    """Milliseconds left of the call's deadline; -1 without one."""
    number: int
    """Attempts that came before, as the call says; of `tasks`: how many there are."""


class JournalWriter:
    """Notes things as they happen. One write each: what was noted stays when the process is killed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, key: str = "", *, method: str = "", left_ms: int = -1, number: int = 0) -> None:
        """Notes one thing."""
        entry = Entry(what, key, time.monotonic(), method, left_ms, number)
        os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")


class Journal:
    """Reads what another process notes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._entries: list[Entry] = []

    def all(self) -> list[Entry]:
        """Everything so far."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                news = file.read()
            whole = news[: news.rfind(b"\n") + 1]
            self._read_bytes += len(whole)
            self._entries.extend(Entry(**json.loads(line)) for line in whole.splitlines())
        return self._entries

    def of(self, key: str, what: str) -> list[Entry]:
        """What happened to one call, in order."""
        return [one for one in self.all() if one.key == key and one.what == what]

    def count(self, key: str, what: str) -> int:
        """How often that was."""
        return len(self.of(key, what))

    def last(self, what: str) -> Entry | None:
        """When something happened last."""
        return next((one for one in reversed(self.all()) if one.what == what), None)

    def running(self) -> int:
        """Handlers that have begun and not ended, since the process last said that it serves."""
        count = 0
        for one in self.all():
            count = 0 if one.what == "serving" else count + (one.what == BEGAN) - (one.what in ENDED)
        return count
