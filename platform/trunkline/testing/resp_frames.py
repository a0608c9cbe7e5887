"""Redis' protocol as far as a proxy needs it: where a value ends, and what a command is. RESP2 and RESP3. Pure."""

from __future__ import annotations

from dataclasses import dataclass

CONTAINERS = frozenset(
    {"ACL", "CLIENT", "CLUSTER", "CONFIG", "MEMORY", "OBJECT", "PUBSUB", "SCRIPT", "XGROUP", "XINFO"}
)
"""Commands whose second word belongs to their name."""
LISTENING = frozenset({"MONITOR", "PSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE"})
"""Commands after which what comes back answers nothing that was asked."""
_SIZED, _ENDING = b"$!=", b"\r\n"
_PER_ITEM = {b"*": 1, b"~": 1, b">": 1, b"%": 2}


class Frames:
    """Cuts a stream of bytes into whole values, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._missing = 1

    def feed(self, data: bytes) -> list[bytes]:
        """The values that are whole now."""
        self._buffer += data
        found = []
        while self._step():
            if not self._missing:
                found.append(bytes(self._buffer[: self._at]))
                del self._buffer[: self._at]
                self._at, self._missing = 0, 1
        return found

    def _step(self) -> bool:
        """Goes over one element, if it is there; an array of n elements makes n more of them needed."""
        line_end = self._buffer.find(_ENDING, self._at)
        if line_end < 0:
            return False
        kind, after = bytes(self._buffer[self._at : self._at + 1]), line_end + 2
        if kind in _PER_ITEM:
            self._missing += _PER_ITEM[kind] * max(0, int(self._buffer[self._at + 1 : line_end]))
        elif kind and kind in _SIZED and (size := int(self._buffer[self._at + 1 : line_end])) >= 0:
            after += size + 2
            if after > len(self._buffer):
                return False
        self._at = after
        self._missing -= 1
        return True


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asks."""

    name: str
    """In capitals, such as XADD, or XGROUP CREATE."""
    arguments: tuple[bytes, ...]
    """Everything after the name."""

    @classmethod
    def of(cls, frame: bytes) -> Command:
        """The command of a whole frame: an array of strings, or the words of a line."""
        words = _strings(frame) if frame.startswith(b"*") else frame.split()
        size = 2 if words and words[0].decode().upper() in CONTAINERS else 1
        return cls(b" ".join(words[:size]).decode().upper(), tuple(words[size:]))


def error_frame(text: str) -> bytes:
    """The frame of an error, such as `READONLY You can't write against a read only replica.`"""
    return f"-{text}\r\n".encode()


def is_push(frame: bytes) -> bool:
    """Whether it answers nothing (RESP3)."""
    return frame.startswith(b">")


def _strings(frame: bytes) -> list[bytes]:
    found, at = [], frame.index(_ENDING) + 2
    while at < len(frame):
        start = frame.index(_ENDING, at) + 2
        size = int(frame[at + 1 : start - 2])
        found.append(frame[start : start + size])
        at = start + size + 2
    return found
