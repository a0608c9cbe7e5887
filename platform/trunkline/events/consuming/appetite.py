"""How many entries are read at once: so few that they can be held, however long they are. Pure."""

from __future__ import annotations

from collections.abc import Iterable

READ = 512
"""Most entries read of all streams at once, where they are few."""
READ_OF_EACH = 64
"""Most entries read of each, where they are many."""
READ_BYTES = 8 * 1024 * 1024
"""Bytes read of all streams at once, as far as what was read before tells; twice as many are held, under load."""
FIRST_BYTES = 8 * 1024
"""Length that entries are taken to have before one was seen."""


class Appetite:
    """What one reader takes at a time. Redis counts entries, not bytes: so their length is learned."""

    def __init__(self, *, read_bytes: int = READ_BYTES) -> None:
        self._read_bytes = read_bytes
        self._entry_bytes = FIRST_BYTES

    def count(self, streams: int) -> int:
        """Entries to read of each of some streams; always one at least."""
        streams = max(1, streams)
        return max(1, min(max(READ // streams, READ_OF_EACH), self._read_bytes // (self._entry_bytes * streams)))

    def note(self, lengths: Iterable[int]) -> None:
        """Learns from what was read: at once that entries are longer than thought, slowly that they are shorter."""
        longest = max(lengths, default=0)
        if longest:
            self._entry_bytes = max(longest, (7 * self._entry_bytes + longest) // 8)
