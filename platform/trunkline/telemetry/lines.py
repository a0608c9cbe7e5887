"""Lines of a log on their way out: whoever logs never waits for who reads."""

from __future__ import annotations

import atexit
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import TextIO

ROOM_BYTES = 4 * 1024 * 1024
"""Lines that wait, in bytes; what does not fit is lost, and counted."""
END_S = 2.0
"""Seconds that the last lines have to be read when a process ends."""
_PIECE_BYTES = select.PIPE_BUF
"""Bytes that are written at once: so many go into a pipe in one piece, whoever else writes into it."""


class Lines:
    """Writes lines in their order, in a thread of its own.

    When so many wait that there is no room, lines are lost until half of the room is free again; then one line tells
    how many.
    """

    def __init__(
        self, write: Callable[[bytes], object], tell_lost: Callable[[int], str], room_bytes: int = ROOM_BYTES
    ) -> None:
        """Takes where to write to, which may block, and what makes a line of how many were lost."""
        self._write = write
        self._tell_lost = tell_lost
        self._room_bytes = room_bytes
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._lost = 0
        self._asleep = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._empty = threading.Event()
        self._thread: threading.Thread | None = None

    def msg(self, message: str) -> None:
        """Takes a line, without its end; structlog calls it so."""
        line = message.encode(errors="backslashreplace") + b"\n"
        with self._lock:
            if self._waiting_bytes + len(line) > (self._room_bytes // 2 if self._lost else self._room_bytes):
                self._lost += 1
                return
            if self._lost:
                self._add(self._line_of_lost())
            self._add(line)
            if self._thread is None:
                self._start()
            wake, self._asleep = self._asleep, False
        if wake:
            self._wake.put(None)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg

    def flush(self, within_s: float = END_S) -> bool:
        """Waits until all is written; False if nobody has read it in that time."""
        with self._lock:
            if self._thread is None:
                return True
            self._empty.clear()
            if self._asleep:
                self._asleep = False
                self._wake.put(None)
        return self._empty.wait(within_s)

    def _start(self) -> None:
        # A daemon: a reader that has stopped must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.flush)

    def _add(self, line: bytes) -> None:
        self._waiting.append(line)
        self._waiting_bytes += len(line)

    def _line_of_lost(self) -> bytes:
        lost, self._lost = self._lost, 0
        return self._tell_lost(lost).encode() + b"\n"

    def _run(self) -> None:
        while True:
            with self._lock:
                lines, self._waiting = self._waiting, []
                if not lines and self._lost:
                    lines = [self._line_of_lost()]
                    self._waiting_bytes += len(lines[0])
                if not lines:
                    self._asleep = True
                    self._empty.set()
            if lines:
                self._write_all(lines)
            else:
                self._wake.get()

    def _write_all(self, lines: list[bytes]) -> None:
        for piece in _pieces(lines):
            # Nobody reads any more, the disk is full, or the file is closed: there is nowhere to tell it.
            with suppress(OSError, ValueError):
                self._write(piece)
            with self._lock:
                self._waiting_bytes -= len(piece)


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    """Whole lines, as many as go into a pipe at once; a longer line alone."""
    piece: list[bytes] = []
    size_bytes = 0
    for line in lines:
        if piece and size_bytes + len(line) > _PIECE_BYTES:
            yield b"".join(piece)
            piece, size_bytes = [], 0
        piece.append(line)
        size_bytes += len(line)
    yield b"".join(piece)


def writer(file: TextIO) -> Callable[[bytes], object]:
    """What writes bytes to a file; past its buffer, whose lock the end of the process would wait for."""
    try:
        # One of our own: whoever closes the file's may open another under the same number.
        descriptor = os.dup(file.fileno())
    except (OSError, ValueError, AttributeError):
        return lambda piece: (file.write(piece.decode()), file.flush())
    return lambda piece: _write_whole(descriptor, piece)


def _write_whole(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Somebody else has made the same pipe non-blocking.
            select.select([], [descriptor], [])
